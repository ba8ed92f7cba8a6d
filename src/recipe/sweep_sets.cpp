#include <fmt/format.h>

#include <algorithm>

#include "base/file.h"
#include "recipe/sweep_parts.h"
#include "taskneuron/base/error.h"
#include "taskneuron/base/version.h"
#include "taskneuron/neuron/selection.h"
#include "taskneuron/recipe/detect.h"

namespace taskneuron {

namespace fs = std::filesystem;

namespace {

// "10%": "10".
std::string plain_top(const std::string& top) { return fmt::format("{}", parse_percent(top)); }

std::map<std::string, std::string> given_scores(const SweepOptions& options) {
  std::map<std::string, std::string> paths;
  for (const std::string& path : options.scores) {
    const std::string task = load_scores(path).info.task;
    if (paths.emplace(task, path).second) continue;
    throw UsageError(fmt::format("{}: another score file is of task '{}' too", path, task));
  }
  return paths;
}

// The task's score file in the sweep's folder, made if it is missing.
std::string detected(const Session& session, const SweepOptions& options, const SweepTask& task,
                     const fs::path& folder) {
  const fs::path path = folder / "scores" / (task.name + ".safetensors");
  if (fs::exists(path)) return path.string();
  DetectOptions detection;
  detection.data = options.data;
  detection.data.tasks = {task.folder};
  detection.data.limit = options.detect_limit;
  detection.sites = {options.site};
  detection.output.out = path.string();
  detect(session, detection);
  return path.string();
}

}  // namespace

std::vector<SweepTask> sweep_tasks(const SweepOptions& options) {
  std::vector<SweepTask> tasks;
  const auto add = [&](const std::string& folder, bool trained) {
    const Task task = load_task(folder);
    for (const SweepTask& known : tasks) {
      if (known.name != task.name) continue;
      throw Error(
          fmt::format("{}: another task is named '{}' too ({})", folder, task.name, known.folder));
    }
    tasks.push_back({task.name, folder, task.type, trained});
  };
  for (const std::string& folder : options.data.tasks) add(folder, true);
  for (const std::string& folder : options.other_tasks) add(folder, false);
  return tasks;
}

bool tests_overlap(const SweepOptions& options, const std::string& task) {
  const std::vector<std::string>& named = options.overlap_tasks;
  return options.overlap_control &&
         (named.empty() || std::find(named.begin(), named.end(), task) != named.end());
}

SweepSets::SweepSets(const Session& session, const SweepOptions& options,
                     const std::vector<SweepTask>& tasks, const fs::path& folder)
    : options_(options), folder_(folder / "sets"), model_hash_(session.checkpoint().hash()) {
  const auto given = given_scores(options);
  for (const SweepTask& task : tasks) {
    // Only overlap-controlled training takes units of tasks that are not trained.
    if (!task.trained && !tests_overlap(options, task.name)) continue;
    const auto found = given.find(task.name);
    if (found == given.end() && !given.empty()) {
      throw Error(fmt::format("{}: none of the `scores` is of this task", task.name));
    }
    const std::string path =
        found == given.end() ? detected(session, options, task, folder) : found->second;
    const Scores scores = load_scores(path);
    if (scores.info.model_hash != model_hash_) {
      throw Error(
          fmt::format("{}: was made on a model with other weights ({:.19}..., this one is "
                      "{:.19}...); sets of a sweep are detected on the model that is trained",
                      path, scores.info.model_hash, model_hash_));
    }
    rankings_.emplace(task.name, site_relevance(scores, parse_sites({options.site}),
                                                parse_aggregate(scores.info.aggregate)));
  }
}

const NeuronSet& SweepSets::own_set(const std::string& task, const std::string& top) const {
  const std::string name = fmt::format("{}-{}-own", task, plain_top(top));
  const auto known = own_.find(name);
  if (known != own_.end()) return known->second;
  NeuronSet set = rankings_.at(task).top(parse_percent(top), parse_scope(options_.scope));
  set.from = {{"task", task}, {"top", top}, {"scope", options_.scope}};
  return own_.emplace(name, std::move(set)).first->second;
}

std::string SweepSets::written(const std::string& name, const NeuronSet& set) const {
  const fs::path path = folder_ / (name + ".json");
  if (!fs::exists(path)) {
    NeuronSet saved = set;
    saved.model_hash = model_hash_;
    saved.from["version"] = version();
    save_set(saved, path);
  }
  return path.string();
}

std::string SweepSets::own(const std::string& task, const std::string& top) const {
  return written(fmt::format("{}-{}-own", task, plain_top(top)), own_set(task, top));
}

std::string SweepSets::random(const std::string& task, const std::string& top,
                              std::int64_t draw) const {
  const RandomDraw which{RandomKind::kMatched, task, options_.seed, draw};
  const std::string number = draw == kTuningDraw ? "tuning" : std::to_string(draw);
  return written(fmt::format("{}-{}-random-{}", task, plain_top(top), number),
                 random_set(own_set(task, top), which));
}

std::string SweepSets::mixed(const std::string& task, const std::string& top,
                             const std::string& share, std::int64_t draw,
                             double& real_share) const {
  const NeuronSet& like = own_set(task, top);
  const RandomDraw which{RandomKind::kMatched, task, options_.seed, draw};
  const NeuronSet set = mixed_set(like, std::stod(share), which);
  real_share = static_cast<double>(units_in_common(like, set)) / static_cast<double>(like.size());
  return written(fmt::format("{}-{}-share-{}-{}", task, plain_top(top), share, draw), set);
}

SweepCell sweep_cell(const SweepSets& sets, const std::vector<SweepTask>& tasks,
                     const SweptModel& model, const std::string& top) {
  SweepCell cell;
  cell.seed = model.seed;
  cell.name = fmt::format("{}{}{}-{}-{}-seed{}", company_name(model.company),
                          model.trained_on.empty() ? "" : "-", model.trained_on, plain_top(top),
                          arm_name(model.arm), model.seed);
  for (const SweepTask& task : tasks) {
    const bool alone = model.company == Company::kAlone;
    const bool trains = alone ? task.name == model.trained_on : task.trained;
    if (trains) {
      cell.tasks.push_back(task.name);
      cell.sets.push_back(model.arm == Arm::kOwn ? sets.own(task.name, top)
                                                 : sets.random(task.name, top, model.seed));
    }
    // Alone, the other trained tasks are no part of any mean.
    if (trains || !task.trained) cell.evaluated.push_back(task.name);
  }
  return cell;
}

}  // namespace taskneuron

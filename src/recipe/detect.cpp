#include "taskneuron/recipe/detect.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>

#include "base/elapsed.h"
#include "recipe/help.h"
#include "taskneuron/base/error.h"
#include "taskneuron/base/memory.h"
#include "taskneuron/base/progress.h"
#include "taskneuron/neuron/scorer.h"

namespace taskneuron {

void DetectOptions::declare(OptionList& list) {
  data.declare(list);
  output.declare(list, "Score file; a folder for several tasks").required();
  list.add("site", &sites, Effect::kResult, kSitesHelp);
  list.add("method", &method, Effect::kResult, fmt::format("{}", fmt::join(score_methods(), ", ")));
  list.add("aggregate", &aggregate, Effect::kResult,
           "example, token or dataset: what relevance in the file means. All three sums are "
           "stored, but for dataset, which runs the tasks' shared prefix only once");
  list.add("positions", &positions, Effect::kResult,
           "all, or own: only tokens after the prefix that all examples share; that prefix then "
           "runs once");
  list.add("steps", &steps, Effect::kResult, "Steps of integrated-gradients").at_least(1);
  list.add("seed", &seed, Effect::kResult, "Seed of method random");
}

namespace {

ScoreOptions score_options(const DetectOptions& options) {
  ScoreOptions result;
  result.method = options.method;
  default_aggregate(options.method);  // refuses a method that there is not
  const std::vector<Site> sites = parse_sites(options.sites);
  result.sites = {sites.begin(), sites.end()};
  result.aggregate = options.aggregate.empty() ? default_aggregate(options.method)
                                               : parse_aggregate(options.aggregate);
  if (options.positions != "all" && options.positions != "own") {
    throw UsageError("positions", options.positions, "all or own");
  }
  result.positions = options.positions == "own" ? Positions::kOwn : Positions::kAll;
  result.limits = options.data.limits();
  result.integration_steps = static_cast<int>(options.steps);
  result.seed = options.seed;
  return result;
}

// One score file per task.
std::vector<std::string> score_paths(const DetectOptions& options) {
  std::vector<std::string> names;
  for (const std::string& folder : options.data.tasks) {
    const std::string name = load_task(folder).name;
    if (std::find(names.begin(), names.end(), name) != names.end()) {
      throw Error(
          fmt::format("{}: another task is named '{}' too, and both would be written to one "
                      "file; detect them one by one",
                      folder, name));
    }
    names.push_back(name);
  }
  return options.output.paths(names, ".safetensors");
}

Scores score_task(const Session& session, const EncodedTask& task, const ScoreOptions& options) {
  Progress bar(fmt::format("detect {}", task.task.name));
  return score_units(session.checkpoint(), session.decoder(), task.examples, options,
                     [&](double share, std::int64_t tokens) { bar.advance_share(share, tokens); });
}

DetectedTask detect_task(const TaskReader& reader, const EncodedTask& task, ScoreOptions scoring,
                         const std::string& path) {
  const Session& session = reader.session();
  DetectedTask found;
  found.plan = reader.fit(score_demand(task.examples, scoring));
  scoring.limits = found.plan.limits;
  scoring.recompute = found.plan.recompute;
  const AnonymousPeak memory;
  const auto start = std::chrono::steady_clock::now();
  Scores scores = score_task(session, task, scoring);
  const double elapsed = seconds_since(start);
  scores.info.model_hash = session.checkpoint().hash();
  scores.info.task = task.task.name;
  scores.info.split = reader.options().split;
  scores.info.template_hash = reader.prompt().hash();
  scores.info.deltas = deltas_text(session.deltas());
  const std::int64_t experts = session.checkpoint().config().mixture.experts;
  if (experts > 1) scores.info.experts = std::to_string(experts);
  save_scores(scores, path);
  found.task = task.task.name;
  found.split = reader.options().split;
  found.examples = scores.examples;
  found.truncated = task.truncated;
  found.tokens = scores.tokens;
  found.seconds = elapsed;
  found.loss = loss_interval(scores.losses);
  found.peak_memory_bytes = memory.bytes();
  found.out = path;
  return found;
}

}  // namespace

void DetectOptions::check() const {
  check_declared(*this);
  data.check();
  score_options(*this);
  score_paths(*this);
}

std::vector<DetectedTask> detect(const Session& session, const DetectOptions& options) {
  options.check();
  const ScoreOptions scoring = score_options(options);
  const TaskReader reader(session, options.data);
  const std::vector<std::string> paths = score_paths(options);
  for (const Site site : scoring.sites) site_shape(session.checkpoint().config(), site);
  std::vector<EncodedTask> tasks;
  for (const std::string& folder : options.data.tasks) tasks.push_back(reader.encode(folder));
  std::vector<DetectedTask> found;
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    found.push_back(detect_task(reader, tasks[i], scoring, paths[i]));
  }
  return found;
}

}  // namespace taskneuron

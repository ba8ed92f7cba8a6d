#include "taskneuron/recipe/affinity.h"

#include <fmt/format.h>

#include <algorithm>

#include "recipe/blame.h"
#include "recipe/fitting_set.h"
#include "recipe/help.h"
#include "taskneuron/base/error.h"
#include "taskneuron/base/memory.h"
#include "taskneuron/base/progress.h"
#include "taskneuron/neuron/selection.h"

namespace taskneuron {

void AffinityOptions::declare(OptionList& list) {
  data.declare(list);
  list.add("scores", &scores, Effect::kInput,
           "Score files of these tasks on this model, in any order, with site act")
      .required();
  list.add("top", &top, Effect::kResult, "Share of the units that are a task's own, in percent");
  list.add("scope", &scope, Effect::kResult, kScopeHelp);
  list.add("allow_other_weights", &allow_other_weights, Effect::kNone,
           "Use scores that were made for other weights of the same shape");
}

void AffinityOptions::check() const {
  check_declared(*this);
  data.check();
  parse_percent(top);
  parse_scope(scope);
  if (data.tasks.size() < 2) throw UsageError("pairs need two tasks or more; give them to `task`");
}

namespace {

struct ScoredTask {
  Scores scores;
  NeuronSet units;
  std::string path;
};

ScoredTask load_scored(const AffinityOptions& options, const Checkpoint& checkpoint,
                       const std::string& path) {
  ScoredTask result{load_scores(path), {}, path};
  const auto found = result.scores.sites.find(Site::kAct);
  if (found == result.scores.sites.end()) {
    throw Error(fmt::format("{}: holds no scores at site act; detect with `site` act", path));
  }
  if (result.scores.info.method != "taylor" || !found->second.signed_sum.defined()) {
    throw Error(
        fmt::format("{}: is of method {}, whose sums have no sign that says what a unit does "
                    "to the loss; detect with `method` taylor",
                    path, result.scores.info.method));
  }
  const Aggregate aggregate = parse_aggregate(result.scores.info.aggregate);
  result.units = select_top(site_relevance(result.scores, {Site::kAct}, aggregate),
                            parse_percent(options.top), parse_scope(options.scope));
  result.units.model_hash = result.scores.info.model_hash;
  require_fit(result.units, checkpoint.config(), checkpoint.hash(),
              other_weights(options.allow_other_weights), path);
  return result;
}

// In the order of the tasks, which they are found by.
std::vector<ScoredTask> load_all_scores(const AffinityOptions& options,
                                        const Checkpoint& checkpoint,
                                        const std::vector<std::string>& tasks) {
  std::vector<ScoredTask> loaded, result;
  for (const std::string& path : options.scores) {
    loaded.push_back(load_scored(options, checkpoint, path));
  }
  for (const std::string& task : tasks) {
    const auto is_task = [&](const ScoredTask& one) { return one.scores.info.task == task; };
    const auto count = std::count_if(loaded.begin(), loaded.end(), is_task);
    if (count != 1) {
      throw Error(fmt::format("{} of the score files {} of task '{}'; give `scores` one of each",
                              count == 0 ? "none" : std::to_string(count),
                              count == 1 ? "is" : "are", task));
    }
    result.push_back(*std::find_if(loaded.begin(), loaded.end(), is_task));
  }
  return result;
}

BatchDemand demand_of(const std::vector<EncodedTask>& tasks) {
  BatchDemand demand;
  demand.backward = demand.may_recompute = demand.trains_weights = true;
  for (const EncodedTask& task : tasks) {
    for (const AnswerExample& example : task.examples) {
      demand.lengths.push_back(static_cast<std::int64_t>(example.ids.size()));
      demand.logit_rows = std::max(demand.logit_rows, example.answer_tokens);
    }
  }
  return demand;
}

// A quarter of what there is for gradients, the rest for passes.
GradientOptions plan(const Session& session, const AffinityOptions& options,
                     const std::vector<EncodedTask>& tasks) {
  session.decoder();  // what it holds counts
  const std::int64_t budget = options.data.memory.empty()
                                  ? default_memory_budget(session.checkpoint())
                                  : parse_bytes(options.data.memory, "memory");
  GradientOptions result;
  const ModelConfig& config = session.checkpoint().config();
  const std::int64_t layers = layers_at_a_time(config, tasks.size(), budget / 4);
  result.gradient_bytes = budget / 4;
  const std::int64_t held =
      layers * layer_gradient_bytes(config) * (static_cast<std::int64_t>(tasks.size()) + 3);
  DataOptions passes = options.data;
  passes.memory = std::to_string(std::max(budget / 2, budget - held));
  const BatchMemory fitted = TaskReader(session, passes).fit(demand_of(tasks));
  result.passes.limits = fitted.limits;
  result.passes.recompute = fitted.recompute;
  if (layers < config.layers) {
    note(fmt::format("gradients of {} of {} layers fit at a time; the tasks are read {} times",
                     layers, config.layers, (config.layers + layers - 1) / layers));
  }
  return result;
}

AffinityPair pair_of(const std::vector<ScoredTask>& scored, const GradientAgreement& gradients,
                     std::size_t i, std::size_t j) {
  const ScoredTask& a = scored[i];
  const ScoredTask& b = scored[j];
  return {a.scores.info.task,
          b.scores.info.task,
          compare_sets(a.units, b.units),
          signed_agreement(a.scores, a.units, b.scores, b.units),
          gradients.all[i][j],
          gradients.own[i][j]};
}

void require_different(const std::vector<EncodedTask>& tasks) {
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      if (tasks[i].task.name != tasks[j].task.name) continue;
      throw Error(fmt::format("two tasks are named '{}'", tasks[i].task.name));
    }
  }
}

}  // namespace

AffinityResult affinity(const Session& session, const AffinityOptions& options) {
  options.check();
  const TaskReader reader(session, options.data);
  std::vector<EncodedTask> tasks;
  std::vector<std::string> names;
  for (const std::string& folder : options.data.tasks) {
    tasks.push_back(reader.encode(folder));
    names.push_back(tasks.back().task.name);
  }
  require_different(tasks);
  const std::vector<ScoredTask> scored = load_all_scores(options, session.checkpoint(), names);
  GradientOptions how = plan(session, options, tasks);
  std::vector<GradientTask> gradient_tasks;
  for (std::size_t t = 0; t < tasks.size(); ++t) {
    gradient_tasks.push_back({names[t], tasks[t].examples, scored[t].units});
  }
  AffinityResult result;
  GradientAgreement gradients;
  const AnonymousPeak memory;
  blame_weights(session.checkpoint(), [&] {
    Progress bar("affinity");
    how.progress = [&](double share) { bar.advance_share(share, 0); };
    gradients = gradient_agreement(session.checkpoint(), session.decoder(), gradient_tasks, how);
  });
  result.peak_memory_bytes = memory.bytes();
  result.layers_at_a_time = gradients.layers_at_a_time;
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    const Task& task = tasks[i].task;
    const bool classifies = task.type == TaskType::kClassification;
    result.tasks.push_back({task.name, classifies ? "classification" : "generation",
                            classifies ? static_cast<std::int64_t>(task.labels.size()) : 0,
                            static_cast<std::int64_t>(tasks[i].examples.size()),
                            gradients.losses[i], scored[i].units.size(), scored[i].path});
    for (std::size_t j = 0; j < tasks.size(); ++j) {
      if (i != j) result.pairs.push_back(pair_of(scored, gradients, i, j));
    }
  }
  return result;
}

}  // namespace taskneuron

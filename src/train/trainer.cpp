#include "taskneuron/train/trainer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>

#include "base/torch_compat.h"
#include "base/world.h"
#include "taskneuron/base/error.h"

namespace taskneuron {

namespace {

std::int64_t tokens_of(const AnswerExample& example) {
  return static_cast<std::int64_t>(example.ids.size());
}

std::vector<std::int64_t> rows_of(const std::vector<TrainTask>& tasks) {
  std::vector<std::int64_t> rows;
  for (const TrainTask& task : tasks) {
    rows.push_back(static_cast<std::int64_t>(task.examples.size()));
  }
  return rows;
}

// Their names are where checkpoints find their state.
void require_terms(const std::vector<StepTerm*>& terms) {
  std::set<std::string> names;
  for (const StepTerm* term : terms) {
    TN_CHECK(term != nullptr && term->name().find('/') == std::string::npos);
    if (!names.insert(term->name()).second) {
      throw Error(fmt::format("two terms of a step are named '{}'", term->name()));
    }
  }
}

}  // namespace

Trainer::Trainer(TrainableModel& model, std::vector<TrainTask> tasks, const TrainerOptions& options)
    : model_(model),
      tasks_(std::move(tasks)),
      options_(options),
      loss_(model, options.hook != nullptr ? *options.hook : *no_hook_,
            {options.limits, options.accumulate, options.recompute}),
      optimizer_(model.parameters, options.adamw) {
  require_terms(options_.terms);
  const Sampler sampler(rows_of(tasks_), options.sampling);
  steps_per_epoch_ = sampler.steps_per_epoch();
  plan_ = sampler.steps(options.schedule.steps);
  for (const TrainTask& task : tasks_) {
    prefixes_.push_back(options_.share_prefix ? shared_prefix_tokens(task.examples) : 0);
    task_positions_.emplace_back();
    if (!task.units) continue;
    TN_CHECK(options_.sampling.one_task_per_step);
    task_positions_.back() = positions_of(model_, *task.units);
  }
}

void Trainer::set_limits(const BatchMemory& memory) { loss_.set_limits(memory); }

BatchDemand Trainer::demand() const {
  BatchDemand demand;
  demand.backward = demand.may_recompute = demand.trains_weights = true;
  for (const TrainTask& task : tasks_) {
    for (const AnswerExample& example : task.examples) {
      demand.lengths.push_back(tokens_of(example));
      demand.logit_rows = std::max(demand.logit_rows, example.answer_tokens);
    }
  }
  return demand;
}

std::vector<PrefixGroup> Trainer::groups_of(const std::vector<ExampleRef>& refs) const {
  std::map<std::int64_t, PrefixGroup> by_task;
  for (const ExampleRef& ref : refs) {
    const auto task = static_cast<std::size_t>(ref.task);
    PrefixGroup& group = by_task[ref.task];
    group.prefix_tokens = prefixes_[task];
    group.examples.push_back(&tasks_[task].examples[static_cast<std::size_t>(ref.row)]);
  }
  std::vector<PrefixGroup> groups;
  for (auto& item : by_task) groups.push_back(std::move(item.second));
  return groups;
}

void Trainer::activate(std::int64_t task) {
  if (task == active_task_) return;
  active_task_ = task;
  const auto& positions = task_positions_[static_cast<std::size_t>(task)];
  for (std::size_t p = 0; p < positions.size(); ++p) {
    model_.parameters[p]->activate(positions[p]);
  }
}

std::string Trainer::describe(std::int64_t number) const {
  std::map<std::int64_t, std::string> rows;
  for (const ExampleRef& ref : plan_[static_cast<std::size_t>(number - 1)]) {
    std::string& list = rows[ref.task];
    list += (list.empty() ? "" : ", ") + std::to_string(ref.row + 1);
  }
  std::string text;
  for (const auto& [task, list] : rows) {
    text += fmt::format("{}{} rows {}", text.empty() ? "" : "; ",
                        tasks_[static_cast<std::size_t>(task)].name, list);
  }
  return text;
}

void Trainer::tell_terms(void (StepTerm::*event)(const TaskView&)) {
  if (options_.terms.empty()) return;
  active_task_ = -1;
  for (const ParameterPtr& parameter : model_.parameters) {
    parameter->activate({});
    parameter->clear_gradient();
  }
  for (StepTerm* term : options_.terms) {
    (term->*event)({model_, loss_, tasks_});
    for (const ParameterPtr& parameter : model_.parameters) parameter->clear_gradient();
  }
}

void Trainer::finish() { tell_terms(&StepTerm::task_ends); }

void Trainer::add_loss(const std::vector<PrefixGroup>& examples, double weight,
                       StepResult& result) {
  StepSums sums;
  for (const PrefixGroup& group : examples) {
    for (const AnswerExample* example : group.examples) sums.tokens += tokens_of(*example);
  }
  try {
    sums.loss = loss_.backward(examples, weight);
  } catch (const NonFiniteError&) {
    sums.loss = std::numeric_limits<double>::quiet_NaN();
  }
  for (StepTerm* term : options_.terms) term->reduce(sums, model_);
  result.loss = sums.loss;
  result.tokens = sums.tokens;
  if (!std::isfinite(sums.loss)) throw NonFiniteError("");
}

void Trainer::add_terms(const StepView& view, StepResult& result, std::string& what) {
  const bool any = std::any_of(options_.terms.begin(), options_.terms.end(),
                               [](const StepTerm* term) { return term->lasts(); });
  if (!any) return;
  result.penalty = 0;
  for (StepTerm* term : options_.terms) {
    what = fmt::format("what '{}' adds is", term->name());
    const double penalty = term->add(view);
    if (!std::isfinite(penalty)) throw NonFiniteError("");
    *result.penalty += penalty;
  }
  what = "the gradient of the loss and what joins it is";
  for (const ParameterPtr& parameter : model_.parameters) parameter->clear_inactive_gradient();
}

StepResult Trainer::step(std::int64_t number) {
  std::vector<ExampleRef> refs = plan_.at(static_cast<std::size_t>(number - 1));
  if (number == 1) tell_terms(&StepTerm::task_begins);
  if (options_.sampling.one_task_per_step) activate(refs.front().task);
  StepResult result;
  result.learning_rate = options_.schedule.at(number);
  const double weight = 1 / static_cast<double>(refs.size());
  for (const StepTerm* term : options_.terms) refs = term->share(std::move(refs));
  const std::vector<PrefixGroup> examples = groups_of(refs);
  std::string what = "the loss or its gradient is";
  finite_loss_ = false;
  try {
    add_loss(examples, weight, result);
    finite_loss_ = true;
    add_terms({model_, loss_, number, examples, weight}, result, what);
    // Of all ranks the same, however many threads each has.
    result.gradient_norm = world().broadcast_value(optimizer_.gradient_norm());
    if (!std::isfinite(result.gradient_norm)) throw NonFiniteError("");
    const bool clips = options_.clip > 0 && result.gradient_norm > options_.clip;
    const double factor = clips ? options_.clip / result.gradient_norm : 1;
    what = "the updated weights are";
    optimizer_.step(result.learning_rate, factor, result.gradient_norm * factor);
  } catch (const NonFiniteError&) {
    for (const ParameterPtr& parameter : model_.parameters) parameter->clear_gradient();
    throw NonFiniteError(fmt::format(
        "step {}: {} not finite on the batch of {}; training diverged: try a lower `lr`, "
        "`warmup_steps` or `clip` 1",
        number, what, describe(number)));
  }
  return result;
}

}  // namespace taskneuron

#include "taskneuron/train/trainer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "base/torch_compat.h"
#include "taskneuron/base/error.h"
#include "taskneuron/model/recompute.h"

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

}  // namespace

Trainer::Trainer(TrainableModel& model, std::vector<TrainTask> tasks, const TrainerOptions& options)
    : model_(model),
      tasks_(std::move(tasks)),
      options_(options),
      optimizer_(model.parameters, options.adamw) {
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

void Trainer::set_limits(const BatchMemory& memory) {
  options_.limits = memory.limits;
  options_.recompute = memory.recompute;
}

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

std::vector<std::vector<PrefixGroup>> Trainer::passes(const std::vector<ExampleRef>& refs) const {
  std::map<std::int64_t, std::vector<const AnswerExample*>> by_task;
  std::int64_t total = 0;
  for (const ExampleRef& ref : refs) {
    const AnswerExample& example =
        tasks_[static_cast<std::size_t>(ref.task)].examples[static_cast<std::size_t>(ref.row)];
    by_task[ref.task].push_back(&example);
    total += tokens_of(example);
  }
  // As few forward passes as the limits allow, of about the same size.
  const auto most = static_cast<double>(options_.limits.max_tokens);
  const double wanted = std::ceil(static_cast<double>(total) / most);
  const double count = std::max(wanted, static_cast<double>(options_.accumulate));
  const auto target = static_cast<std::int64_t>(std::ceil(static_cast<double>(total) / count));
  const std::int64_t most_examples =
      options_.limits.max_examples > 0
          ? options_.limits.max_examples
          : (static_cast<std::int64_t>(refs.size()) + options_.accumulate - 1) /
                options_.accumulate;
  std::vector<std::vector<PrefixGroup>> passes;
  std::int64_t tokens = 0, examples = 0;
  for (const auto& [task, members] : by_task) {
    const std::int64_t prefix = prefixes_[static_cast<std::size_t>(task)];
    bool starts_group = true;
    for (const AnswerExample* example : members) {
      if (passes.empty() || examples == most_examples ||
          tokens + tokens_of(*example) / 2 > target || tokens + tokens_of(*example) > most) {
        passes.emplace_back();
        tokens = examples = 0;
        starts_group = true;
      }
      if (starts_group) passes.back().push_back({{}, prefix});
      starts_group = false;
      passes.back().back().examples.push_back(example);
      tokens += tokens_of(*example);
      ++examples;
    }
  }
  for (auto& pass : passes) {
    for (PrefixGroup& group : pass) {
      if (group.examples.size() == 1) group.prefix_tokens = 0;
    }
  }
  return passes;
}

double Trainer::backward(const std::vector<PrefixGroup>& groups, double weight) {
  Batch batch = shared_prefix_batch(groups);
  for (Target& target : batch.targets) target.weight *= weight;
  NeuronHook none;
  double loss = 0;
  const auto check = [&](const at::Tensor& nll) {
    const at::Tensor values = nll.to(at::kDouble).cpu();
    for (std::size_t i = 0; i < batch.targets.size(); ++i) {
      loss += values.data_ptr<double>()[i] * batch.targets[i].weight;
    }
    if (!std::isfinite(loss)) throw NonFiniteError("");
  };
  if (options_.recompute) {
    recomputed_backward(model_.decoder, batch, none, nullptr, check);
    return loss;
  }
  at::Tensor nll;
  const at::Tensor features = model_.decoder.features(batch, none);
  const at::Tensor total = model_.decoder.target_loss(features, batch, &nll);
  check(nll);
  if (total.requires_grad()) total.backward();
  return loss;
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

StepResult Trainer::step(std::int64_t number) {
  const std::vector<ExampleRef>& refs = plan_.at(static_cast<std::size_t>(number - 1));
  if (options_.sampling.one_task_per_step) activate(refs.front().task);
  StepResult result;
  result.learning_rate = options_.schedule.at(number);
  const double weight = 1 / static_cast<double>(refs.size());
  const char* what = "the loss or its gradient is";
  finite_loss_ = false;
  try {
    for (const auto& groups : passes(refs)) {
      result.loss += backward(groups, weight);
      for (const PrefixGroup& group : groups) {
        for (const AnswerExample* example : group.examples) result.tokens += tokens_of(*example);
      }
    }
    finite_loss_ = true;
    result.gradient_norm = optimizer_.gradient_norm();
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

#include "taskneuron/analysis/deactivation.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "analysis/contrasts.h"
#include "taskneuron/base/error.h"

namespace taskneuron {

Measurement measured(const TaskResult& result) {
  Measurement measurement{result.value, result.standard_error, result.loss, {}, {}, {}};
  for (const Prediction& prediction : result.predictions) {
    measurement.scores.push_back(prediction.score);
    measurement.losses.push_back(prediction.loss);
  }
  measurement.labels = label_metrics(result.predictions);
  return measurement;
}

namespace {

std::size_t set_of(const std::vector<TaskSets>& sets, const std::string& task) {
  for (std::size_t i = 0; i < sets.size(); ++i) {
    if (sets[i].task == task) return i;
  }
  std::vector<std::string> given;
  for (const TaskSets& one : sets) given.push_back(fmt::format("'{}'", one.task));
  throw Error(
      fmt::format("no score file or set is of task '{}', only of {}; name one of it in `scores`",
                  task, fmt::join(given, ", ")));
}

void contrast(const DeactivatedTask& task, ConditionRows& rows, std::uint64_t seed) {
  const Measurement& own = *rows.off[task.own];
  rows.own_minus_original = own_minus_original({{{&own}, &task.original}});
  for (auto& item : rows.random) {
    item.second.own_minus_random = own_minus_random({own_and_random(own, item.second)}, seed);
  }
}

}  // namespace

std::int64_t deactivation_runs(const std::vector<Condition>& conditions, const std::string& task,
                               OtherTasks others) {
  std::int64_t runs = 1;
  for (const Condition& condition : conditions) {
    const TaskSets& own = (*condition.sets)[set_of(*condition.sets, task)];
    runs +=
        others == OtherTasks::kSwitchOff ? static_cast<std::int64_t>(condition.sets->size()) : 1;
    for (const auto& kind : own.random) runs += static_cast<std::int64_t>(kind.second.size());
  }
  return runs;
}

DeactivatedTask deactivate(const Decoder& decoder, const TaskEvaluation& evaluation,
                           const std::string& task, const std::vector<Condition>& conditions,
                           const DeactivationOptions& options) {
  DeactivatedTask result;
  const auto evaluate = [&](const EvaluatedRow& row, const std::function<Variant()>& make) {
    const auto run = [&] {
      const Variant variant = make();
      return evaluation.run(*variant.decoder, *variant.hook, options.limits, options.progress);
    };
    const TaskResult found = options.once ? options.once(row, run) : run();
    result.split = found.split;
    result.metric = found.metric;
    if (options.evaluated) options.evaluated(row, found);
    return measured(found);
  };
  result.task = task;
  result.type = evaluation.type() == TaskType::kClassification ? "classification" : "generation";
  result.examples = evaluation.examples();
  result.truncated = evaluation.truncated();
  result.own = set_of(*conditions.front().sets, task);
  result.original = evaluate({}, [&] { return original_variant(decoder); });
  for (const Condition& condition : conditions) {
    ConditionRows& rows = result.conditions.emplace_back();
    const auto off = [&](const NeuronSet& set, const EvaluatedRow& row) {
      return evaluate(row, [&] {
        return set_variant(decoder, set, condition.mode, options.references, row.units_of);
      });
    };
    for (std::size_t i = 0; i < condition.sets->size(); ++i) {
      const TaskSets& sets = (*condition.sets)[i];
      if (i != result.own && options.others == OtherTasks::kLeaveOut) {
        rows.off.emplace_back();
      } else {
        rows.off.emplace_back(off(sets.own, {&condition, sets.task, {}, 0}));
      }
    }
    for (const auto& [kind, sets] : (*condition.sets)[result.own].random) {
      for (const NeuronSet& set : sets) {
        std::vector<Measurement>& draws = rows.random[kind].by_draw;
        const auto draw = static_cast<std::int64_t>(draws.size());
        draws.push_back(off(set, {&condition, task, kind, draw}));
      }
    }
    contrast(result, rows, options.seed);
  }
  return result;
}

std::optional<CrossMatrix> cross_matrix(const std::vector<DeactivatedTask>& tasks,
                                        const std::vector<TaskSets>& sets, std::size_t condition,
                                        std::uint64_t seed) {
  if (tasks.size() < 2) return {};
  CrossMatrix matrix;
  std::vector<std::vector<double>> drop;
  for (const DeactivatedTask& owner : tasks) {
    const std::size_t set = set_of(sets, owner.task);
    std::vector<double> value, loss, fallen;
    for (const DeactivatedTask& task : tasks) {
      const auto& off = task.conditions[condition].off[set];
      if (!off) return {};
      value.push_back(off->value - task.original.value);
      loss.push_back(off->loss - task.original.loss);
      fallen.push_back(-task.metric.gain(value.back()));
    }
    matrix.value.push_back(value);
    matrix.loss.push_back(loss);
    drop.push_back(fallen);
  }
  std::vector<std::string> types;
  for (const DeactivatedTask& task : tasks) types.push_back(task.type);
  matrix.value_test = diagonal_test(drop, types, seed);
  matrix.loss_test = diagonal_test(matrix.loss, types, seed);
  return matrix;
}

Agreement agreement(const std::vector<DeactivatedTask>& tasks, std::size_t a, std::size_t b) {
  Agreement result;
  for (const DeactivatedTask& task : tasks) {
    const Measurement &first = task.own_off(a), &second = task.own_off(b);
    for (std::size_t i = 0; i < first.losses.size(); ++i) {
      result.largest_loss_difference =
          std::max(result.largest_loss_difference, std::abs(first.losses[i] - second.losses[i]));
      result.different_scores += first.scores[i] != second.scores[i] ? 1 : 0;
      ++result.examples;
    }
  }
  return result;
}

}  // namespace taskneuron

#include "taskneuron/analysis/deactivation.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "taskneuron/base/error.h"
#include "taskneuron/base/statistics.h"

namespace taskneuron {

namespace {

Measurement measured(const TaskResult& result) {
  Measurement measurement{result.value, result.standard_error, result.loss, {}, {}};
  for (const Prediction& prediction : result.predictions) {
    measurement.scores.push_back(prediction.score);
    measurement.losses.push_back(prediction.loss);
  }
  return measurement;
}

using Examples = std::vector<double> Measurement::*;

std::vector<double> minus(const std::vector<double>& a, const std::vector<double>& b) {
  std::vector<double> result(a.size());
  std::transform(a.begin(), a.end(), b.begin(), result.begin(), std::minus<>());
  return result;
}

// Example by example, the mean over seeds.
std::vector<double> mean_over_seeds(const std::vector<Measurement>& seeds, Examples examples) {
  std::vector<double> sums((seeds.front().*examples).size(), 0);
  for (const Measurement& seed : seeds) {
    for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += (seed.*examples)[i];
  }
  for (double& sum : sums) sum /= static_cast<double>(seeds.size());
  return sums;
}

std::vector<double> own_minus_random(const Measurement& own, const std::vector<Measurement>& random,
                                     Examples examples) {
  return minus(own.*examples, mean_over_seeds(random, examples));
}

std::size_t set_of(const std::vector<TaskSets>& sets, const std::string& task) {
  for (std::size_t i = 0; i < sets.size(); ++i) {
    if (sets[i].task == task) return i;
  }
  throw Error(
      fmt::format("no score file is of task '{}'; detect it first and name it in --scores", task));
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
                           OtherTasks others, std::uint64_t seed, const BatchLimits& limits,
                           const EvaluationProgress& progress) {
  DeactivatedTask result;
  const auto evaluate = [&](const Variant& variant) {
    const TaskResult measured_result =
        evaluation.run(*variant.decoder, *variant.hook, limits, progress);
    result.split = measured_result.split;
    result.metric = measured_result.metric;
    return measured(measured_result);
  };
  result.task = task;
  result.examples = evaluation.examples();
  result.truncated = evaluation.truncated();
  result.own = set_of(*conditions.front().sets, task);
  result.original = evaluate(original_variant(decoder));
  for (const Condition& condition : conditions) {
    ConditionRows& rows = result.conditions.emplace_back();
    for (std::size_t i = 0; i < condition.sets->size(); ++i) {
      const TaskSets& sets = (*condition.sets)[i];
      if (i != result.own && others == OtherTasks::kLeaveOut) {
        rows.off.emplace_back();
      } else {
        rows.off.emplace_back(evaluate(set_variant(decoder, sets.own, condition.mode, sets.task)));
      }
    }
    const Measurement& own = *rows.off[result.own];
    rows.own_minus_original = {paired_bootstrap({minus(own.scores, result.original.scores)}, seed),
                               paired_bootstrap({minus(own.losses, result.original.losses)}, seed)};
    for (const auto& [kind, sets] : (*condition.sets)[result.own].random) {
      RandomRows& random = rows.random[kind];
      for (const NeuronSet& set : sets) {
        random.by_seed.push_back(evaluate(set_variant(decoder, set, condition.mode, "random")));
      }
      random.own_minus_random = {
          paired_bootstrap({own_minus_random(own, random.by_seed, &Measurement::scores)}, seed),
          paired_bootstrap({own_minus_random(own, random.by_seed, &Measurement::losses)}, seed)};
    }
  }
  return result;
}

std::vector<AverageRows> average_rows(const std::vector<DeactivatedTask>& tasks,
                                      std::size_t condition, std::uint64_t seed) {
  std::map<std::string, std::vector<const DeactivatedTask*>> groups;
  for (const DeactivatedTask& task : tasks) groups[task.metric].push_back(&task);
  std::vector<AverageRows> averages;
  for (const auto& [metric, members] : groups) {
    AverageRows& row = averages.emplace_back();
    row.metric = metric;
    row.tasks = static_cast<std::int64_t>(members.size());
    const auto mean_of = [&](const auto& value) {
      std::vector<double> values;
      for (const DeactivatedTask* task : members) values.push_back(value(*task));
      return mean(values);
    };
    row.original = mean_of([](const auto& task) { return task.original.value; });
    row.original_loss = mean_of([](const auto& task) { return task.original.loss; });
    row.own = mean_of([&](const auto& task) { return task.own_off(condition).value; });
    row.own_loss = mean_of([&](const auto& task) { return task.own_off(condition).loss; });
    for (const auto& item : members.front()->conditions[condition].random) {
      const RandomKind kind = item.first;
      const auto rows = [&](const DeactivatedTask& task) -> const std::vector<Measurement>& {
        return task.conditions[condition].random.at(kind).by_seed;
      };
      std::vector<double> values, losses;
      for (std::size_t i = 0; i < item.second.by_seed.size(); ++i) {
        values.push_back(mean_of([&](const auto& task) { return rows(task)[i].value; }));
        losses.push_back(mean_of([&](const auto& task) { return rows(task)[i].loss; }));
      }
      std::vector<std::vector<double>> scores, nats;
      for (const DeactivatedTask* task : members) {
        const Measurement& own = task->own_off(condition);
        scores.push_back(own_minus_random(own, rows(*task), &Measurement::scores));
        nats.push_back(own_minus_random(own, rows(*task), &Measurement::losses));
      }
      row.random[kind] = {mean(values),
                          standard_deviation(values),
                          mean(losses),
                          standard_deviation(losses),
                          {paired_bootstrap(scores, seed), paired_bootstrap(nats, seed)}};
    }
  }
  return averages;
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
      fallen.push_back(-value.back());
    }
    matrix.value.push_back(value);
    matrix.loss.push_back(loss);
    drop.push_back(fallen);
  }
  matrix.value_test = diagonal_test(drop, seed);
  matrix.loss_test = diagonal_test(matrix.loss, seed);
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

#include "taskneuron/analysis/set_test.h"

#include <fmt/format.h>

#include <map>

#include "analysis/contrasts.h"
#include "base/check.h"
#include "taskneuron/base/error.h"
#include "taskneuron/base/statistics.h"

namespace taskneuron {

namespace {

void require_alike(const SetTestTask& task) {
  if (task.own.empty()) throw Error(fmt::format("{}: no evaluation with its own units", task.task));
  const std::size_t examples = task.own.front().scores.size();
  const auto same = [&](const Measurement& row) {
    if (row.scores.size() == examples) return;
    throw Error(fmt::format("{}: evaluated on {} examples here and {} there", task.task, examples,
                            row.scores.size()));
  };
  for (const Measurement& row : task.own) same(row);
  if (task.original) same(*task.original);
  for (const auto& set : task.random) {
    if (set.size() != task.own.size()) {
      throw Error(
          fmt::format("{}: {} trainings of its own units and {} of a random set; both need "
                      "the same number",
                      task.task, task.own.size(), set.size()));
    }
    for (const Measurement& row : set) same(row);
  }
}

double mean_of(const std::vector<Measurement>& rows, double Measurement::*field) {
  double sum = 0;
  for (const Measurement& row : rows) sum += row.*field;
  return sum / static_cast<double>(rows.size());
}

std::vector<const Measurement*> pointers(const std::vector<Measurement>& rows) {
  std::vector<const Measurement*> result;
  for (const Measurement& row : rows) result.push_back(&row);
  return result;
}

// Means over the tasks given, with their contrasts.
SetTestRow row_of(const std::vector<const SetTestTask*>& tasks, std::uint64_t seed) {
  SetTestRow row;
  row.metric = tasks.front()->metric;
  row.tasks = static_cast<std::int64_t>(tasks.size());
  const auto share = 1 / static_cast<double>(tasks.size());
  std::size_t sets = tasks.front()->random.size();
  bool originals = true;
  for (const SetTestTask* task : tasks) {
    sets = std::min(sets, task->random.size());
    originals = originals && task->original;
  }
  row.random.assign(sets, 0);
  row.random_loss.assign(sets, 0);
  std::vector<OwnAndRandom> against_random;
  std::vector<OwnAndOriginal> against_original;
  for (const SetTestTask* task : tasks) {
    row.own += share * mean_of(task->own, &Measurement::value);
    row.own_loss += share * mean_of(task->own, &Measurement::loss);
    OwnAndRandom& pair = against_random.emplace_back();
    pair.own = pointers(task->own);
    for (std::size_t i = 0; i < sets; ++i) {
      row.random[i] += share * mean_of(task->random[i], &Measurement::value);
      row.random_loss[i] += share * mean_of(task->random[i], &Measurement::loss);
    }
    for (const auto& set : task->random) pair.random.push_back(pointers(set));
    if (!originals) continue;
    row.original = row.original.value_or(0) + share * task->original->value;
    row.original_loss = row.original_loss.value_or(0) + share * task->original->loss;
    against_original.push_back({pointers(task->own), &*task->original});
  }
  if (sets > 0) row.own_minus_random = own_minus_random(against_random, seed);
  if (originals) row.own_minus_original = own_minus_original(against_original);
  return row;
}

void adjust_over_tasks(std::vector<SetTestRow>& rows,
                       std::optional<MeasureContrasts> SetTestRow::*contrasts) {
  std::vector<MeasureContrasts*> family;
  for (SetTestRow& row : rows) {
    if (row.*contrasts) family.push_back(&*(row.*contrasts));
  }
  adjust_measures(family);
}

}  // namespace

SetTest test_sets(const std::vector<SetTestTask>& tasks, std::uint64_t seed) {
  SetTest result;
  std::map<std::string, std::vector<const SetTestTask*>> by_metric;
  for (const SetTestTask& task : tasks) {
    require_alike(task);
    by_metric[task.metric.name].push_back(&task);
    result.tasks.push_back(row_of({&task}, seed));
    result.tasks.back().task = task.task;
  }
  for (const auto& [metric, members] : by_metric) {
    if (members.size() > 1) result.averages.push_back(row_of(members, seed));
  }
  for (auto* rows : {&result.tasks, &result.averages}) {
    adjust_over_tasks(*rows, &SetTestRow::own_minus_random);
    adjust_over_tasks(*rows, &SetTestRow::own_minus_original);
  }
  return result;
}

CrossMatrix training_matrix(const std::vector<std::vector<Measurement>>& models,
                            const std::vector<MatrixTask>& tasks, std::uint64_t seed) {
  TN_CHECK_GT(models.size(), 1);
  TN_CHECK_EQ(tasks.size(), models.size());
  CrossMatrix matrix;
  std::vector<std::vector<double>> gained, fallen;
  for (const auto& model : models) {
    TN_CHECK_EQ(model.size(), tasks.size());
    std::vector<double> value, loss, gain, fall;
    for (std::size_t j = 0; j < model.size(); ++j) {
      value.push_back(model[j].value - tasks[j].original.value);
      loss.push_back(model[j].loss - tasks[j].original.loss);
      gain.push_back(tasks[j].metric.gain(value.back()));
      fall.push_back(-loss.back());
    }
    matrix.value.push_back(value);
    matrix.loss.push_back(loss);
    gained.push_back(gain);
    fallen.push_back(fall);
  }
  std::vector<std::string> types;
  for (const MatrixTask& task : tasks) types.push_back(task.type);
  matrix.value_test = diagonal_test(gained, types, seed);
  matrix.loss_test = diagonal_test(fallen, types, seed);
  return matrix;
}

}  // namespace taskneuron

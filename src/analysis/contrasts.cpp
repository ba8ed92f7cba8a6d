#include "analysis/contrasts.h"

#include <algorithm>
#include <functional>

#include "taskneuron/base/statistics.h"

namespace taskneuron {

namespace {

using Examples = const std::vector<double>& (*)(const Measurement&);

const std::vector<double>& scores_of(const Measurement& row) { return row.scores; }
const std::vector<double>& losses_of(const Measurement& row) { return row.losses; }
const std::vector<double>& label_losses_of(const Measurement& row) { return row.labels->losses; }

using Rows = std::vector<const Measurement*>;

// Each row's examples.
std::vector<std::vector<double>> examples_of(const Rows& rows, Examples examples) {
  std::vector<std::vector<double>> result;
  for (const Measurement* row : rows) result.push_back(examples(*row));
  return result;
}

bool all_ranked(const Rows& rows) {
  return std::all_of(rows.begin(), rows.end(),
                     [](const Measurement* row) { return row->labels.has_value(); });
}

// `of` gives the contrast in one measure.
template <typename Task>
MeasureContrasts in_every_measure(const std::vector<Task>& tasks,
                                  const std::function<Contrast(Examples)>& of) {
  MeasureContrasts contrasts{of(scores_of), of(losses_of), {}};
  const bool ranked = std::all_of(tasks.begin(), tasks.end(),
                                  [](const Task& task) { return all_ranked(task.own); });
  if (ranked) contrasts.label_loss = of(label_losses_of);
  return contrasts;
}

}  // namespace

OwnAndRandom own_and_random(const Measurement& own, const RandomRows& random) {
  OwnAndRandom pair{{&own}, {}};
  for (const Measurement& row : random.by_draw) pair.random.push_back({&row});
  return pair;
}

MeasureContrasts own_minus_original(const std::vector<OwnAndOriginal>& tasks) {
  return in_every_measure(tasks, [&](Examples examples) {
    std::vector<std::vector<double>> differences;
    for (const OwnAndOriginal& task : tasks) {
      std::vector<double>& row =
          differences.emplace_back(mean_over_seeds(examples_of(task.own, examples)));
      const std::vector<double>& original = examples(*task.original);
      std::transform(row.begin(), row.end(), original.begin(), row.begin(), std::minus<>());
    }
    return paired_difference(differences);
  });
}

MeasureContrasts own_minus_random(const std::vector<OwnAndRandom>& tasks, std::uint64_t seed) {
  return in_every_measure(tasks, [&](Examples examples) {
    std::vector<SetScores> scores;
    for (const OwnAndRandom& task : tasks) {
      std::vector<std::vector<std::vector<double>>> random;
      for (const Rows& set : task.random) random.push_back(examples_of(set, examples));
      scores.push_back(over_seeds(examples_of(task.own, examples), random));
    }
    return own_minus_random(scores, seed);
  });
}

void adjust_measures(const std::vector<MeasureContrasts*>& family) {
  std::vector<Contrast*> value, loss, label_loss;
  for (MeasureContrasts* contrasts : family) {
    value.push_back(&contrasts->value);
    loss.push_back(&contrasts->loss);
    if (contrasts->label_loss) label_loss.push_back(&*contrasts->label_loss);
  }
  for (const auto& measure : {value, loss, label_loss}) adjust(measure);
}

namespace {

void adjust_averages(std::vector<AverageRows>& averages) {
  std::vector<MeasureContrasts*> original, random;
  for (AverageRows& row : averages) {
    original.push_back(&row.own_minus_original);
    for (auto& item : row.random) random.push_back(&item.second.own_minus_random);
  }
  adjust_measures(original);
  adjust_measures(random);
}

}  // namespace

void adjust_families(std::vector<DeactivatedTask>& tasks) {
  if (tasks.empty()) return;
  const auto adjust_over_tasks = [&](const auto& contrasts_of) {
    std::vector<MeasureContrasts*> family;
    for (DeactivatedTask& task : tasks) family.push_back(&contrasts_of(task));
    adjust_measures(family);
  };
  for (std::size_t c = 0; c < tasks.front().conditions.size(); ++c) {
    adjust_over_tasks([&](auto& task) -> auto& { return task.conditions[c].own_minus_original; });
    for (const auto& item : tasks.front().conditions[c].random) {
      const RandomKind kind = item.first;
      adjust_over_tasks([&](auto& task) -> auto& {
        return task.conditions[c].random.at(kind).own_minus_random;
      });
    }
  }
}

namespace {

AverageRows::Random average_random(const std::vector<const DeactivatedTask*>& members,
                                   std::size_t condition, RandomKind kind, std::uint64_t seed) {
  std::vector<OwnAndRandom> pairs;
  for (const DeactivatedTask* task : members) {
    pairs.push_back(
        own_and_random(task->own_off(condition), task->conditions[condition].random.at(kind)));
  }
  std::vector<double> values, losses;  // by draw, means over tasks
  for (std::size_t i = 0; i < pairs.front().random.size(); ++i) {
    values.push_back(0);
    losses.push_back(0);
    for (const OwnAndRandom& pair : pairs) {
      values.back() += pair.random[i].front()->value / static_cast<double>(pairs.size());
      losses.back() += pair.random[i].front()->loss / static_cast<double>(pairs.size());
    }
  }
  return {mean(values), standard_deviation(values), mean(losses), standard_deviation(losses),
          own_minus_random(pairs, seed)};
}

}  // namespace

std::vector<AverageRows> average_rows(const std::vector<DeactivatedTask>& tasks,
                                      std::size_t condition, std::uint64_t seed) {
  std::map<std::string, std::vector<const DeactivatedTask*>> groups;
  for (const DeactivatedTask& task : tasks) groups[task.metric.name].push_back(&task);
  std::vector<AverageRows> averages;
  for (const auto& [name, members] : groups) {
    AverageRows& row = averages.emplace_back();
    row.metric = members.front()->metric;
    row.tasks = static_cast<std::int64_t>(members.size());
    std::vector<OwnAndOriginal> pairs;
    for (const DeactivatedTask* task : members) {
      const Measurement& own = task->own_off(condition);
      pairs.push_back({{&own}, &task->original});
      const auto share = 1 / static_cast<double>(members.size());
      row.original += share * task->original.value;
      row.original_loss += share * task->original.loss;
      row.own += share * own.value;
      row.own_loss += share * own.loss;
    }
    row.own_minus_original = own_minus_original(pairs);
    for (const auto& item : members.front()->conditions[condition].random) {
      row.random[item.first] = average_random(members, condition, item.first, seed);
    }
  }
  adjust_averages(averages);
  return averages;
}

Claim claim_of(Expected expected, Better better) {
  const bool higher = (expected == Expected::kBetter) == (better == Better::kHigher);
  return higher ? Claim::kHigher : Claim::kLower;
}

}  // namespace taskneuron

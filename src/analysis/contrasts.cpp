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

// `of` gives the contrast in one measure.
template <typename Task>
MeasureContrasts in_every_measure(const std::vector<Task>& tasks,
                                  const std::function<Contrast(Examples)>& of) {
  MeasureContrasts contrasts{of(scores_of), of(losses_of), {}};
  const bool ranked = std::all_of(tasks.begin(), tasks.end(),
                                  [](const Task& task) { return task.own->labels.has_value(); });
  if (ranked) contrasts.label_loss = of(label_losses_of);
  return contrasts;
}

}  // namespace

MeasureContrasts own_minus_original(const std::vector<OwnAndOriginal>& tasks) {
  return in_every_measure(tasks, [&](Examples examples) {
    std::vector<std::vector<double>> differences;
    for (const OwnAndOriginal& task : tasks) {
      std::vector<double>& row = differences.emplace_back(examples(*task.own));
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
      SetScores& one = scores.emplace_back();
      one.own = examples(*task.own);
      for (const Measurement& row : *task.random) one.random.push_back(examples(row));
    }
    return own_minus_random(scores, seed);
  });
}

namespace {

// What several tasks, or several averages, are compared by: every measure is a family.
void adjust_measures(const std::vector<MeasureContrasts*>& members) {
  std::vector<Contrast*> value, loss, label_loss;
  for (MeasureContrasts* contrasts : members) {
    value.push_back(&contrasts->value);
    loss.push_back(&contrasts->loss);
    if (contrasts->label_loss) label_loss.push_back(&*contrasts->label_loss);
  }
  for (const auto& family : {value, loss, label_loss}) adjust(family);
}

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
    std::vector<MeasureContrasts*> members;
    for (DeactivatedTask& task : tasks) members.push_back(&contrasts_of(task));
    adjust_measures(members);
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
        {&task->own_off(condition), &task->conditions[condition].random.at(kind).by_draw});
  }
  std::vector<double> values, losses;  // by draw, means over tasks
  for (std::size_t i = 0; i < pairs.front().random->size(); ++i) {
    values.push_back(0);
    losses.push_back(0);
    for (const OwnAndRandom& pair : pairs) {
      values.back() += (*pair.random)[i].value / static_cast<double>(pairs.size());
      losses.back() += (*pair.random)[i].loss / static_cast<double>(pairs.size());
    }
  }
  return {mean(values), standard_deviation(values), mean(losses), standard_deviation(losses),
          own_minus_random(pairs, seed)};
}

}  // namespace

std::vector<AverageRows> average_rows(const std::vector<DeactivatedTask>& tasks,
                                      std::size_t condition, std::uint64_t seed) {
  std::map<std::string, std::vector<const DeactivatedTask*>> groups;
  for (const DeactivatedTask& task : tasks) groups[task.metric].push_back(&task);
  std::vector<AverageRows> averages;
  for (const auto& [metric, members] : groups) {
    AverageRows& row = averages.emplace_back();
    row.metric = metric;
    row.tasks = static_cast<std::int64_t>(members.size());
    std::vector<OwnAndOriginal> pairs;
    for (const DeactivatedTask* task : members) {
      const Measurement& own = task->own_off(condition);
      pairs.push_back({&own, &task->original});
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

}  // namespace taskneuron

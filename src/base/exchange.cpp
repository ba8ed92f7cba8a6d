// Randomisation test of own sets against random ones (docs/method.md).
#include <algorithm>
#include <cmath>

#include "base/variance.h"
#include "taskneuron/base/error.h"
#include "taskneuron/base/random.h"
#include "taskneuron/base/statistics.h"

namespace taskneuron {

namespace {

// By task and set, the own one first: its score minus the mean of the task's other sets.
std::vector<std::vector<double>> deviations(const std::vector<SetMeans>& tasks) {
  std::vector<std::vector<double>> result;
  for (const SetMeans& task : tasks) {
    std::vector<double> values = {task.own};
    values.insert(values.end(), task.random.begin(), task.random.end());
    const auto sets = static_cast<double>(values.size());
    const double center = mean(values);
    for (double& value : values) value = (value - center) * sets / (sets - 1);
    result.push_back(values);
  }
  return result;
}

double orders_of(const std::vector<SetMeans>& tasks) {
  double orders = 1;
  for (const SetMeans& task : tasks) orders *= static_cast<double>(task.random.size() + 1);
  return orders;
}

// How many of all choices, one set per task, sum to at least `reached` in size.
std::int64_t count_all(const std::vector<std::vector<double>>& sets, std::size_t task, double sum,
                       double reached) {
  if (task == sets.size()) return std::abs(sum) >= reached ? 1 : 0;
  std::int64_t count = 0;
  for (const double value : sets[task]) count += count_all(sets, task + 1, sum + value, reached);
  return count;
}

}  // namespace

void conclude(Randomisation& test, std::int64_t reached) {
  const std::int64_t observed = test.exact ? 0 : 1;
  const auto orders = static_cast<double>(test.orders + observed);
  test.smallest_p = 1 / orders;
  if (test.smallest_p < 0.5) test.p = static_cast<double>(reached + observed) / orders;
}

Randomisation exchange_sets(const std::vector<SetMeans>& tasks, double rounding, std::uint64_t seed,
                            std::int64_t draws) {
  TN_CHECK(!tasks.empty() && draws > 0);
  const auto sets = deviations(tasks);
  double observed = 0;
  for (const auto& task : sets) observed += task.front();
  const double reached = std::abs(observed) - rounding * static_cast<double>(tasks.size());
  const double all = orders_of(tasks);
  Randomisation result;
  result.exact = all <= static_cast<double>(draws);
  std::int64_t count = 0;
  if (result.exact) {
    result.orders = static_cast<std::int64_t>(all);
    count = count_all(sets, 0, 0, reached);
  } else {
    Random random(seed, "exchange of sets");
    for (; result.orders < draws; ++result.orders) {
      double sum = 0;
      for (const auto& task : sets) sum += task[random.below(task.size())];
      count += std::abs(sum) >= reached ? 1 : 0;
    }
  }
  conclude(result, count);
  return result;
}

}  // namespace taskneuron

#include "base/variance.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "taskneuron/base/distributions.h"

namespace taskneuron {

Variance sum_variance(const std::vector<Variance>& parts) {
  Variance sum;
  double uncertainty = 0;
  for (const Variance& part : parts) {
    if (!(part.value > 0)) continue;
    TN_CHECK_GT(part.df, 0);
    sum.value += part.value;
    uncertainty += part.value * part.value / part.df;
  }
  sum.df = sum.value > 0 ? sum.value * sum.value / uncertainty : 0;
  return sum;
}

Variance mean_variance(const std::vector<Variance>& parts) {
  Variance sum = sum_variance(parts);
  const auto count = static_cast<double>(parts.size());
  sum.value /= count * count;
  return sum;
}

// Analysis of variance of D[k][e] = own[e] − random[k][e], two ways without replication.
Variance crossed_variance(const SetScores& task) {
  const std::size_t sets = task.random.size(), examples = task.own.size();
  TN_CHECK_GT(sets, 1);
  TN_CHECK_GT(examples, 1);
  const auto m = static_cast<double>(sets), n = static_cast<double>(examples);
  std::vector<double> by_set(sets, 0), by_example(examples, 0);
  double center = 0, largest = 0;
  for (std::size_t k = 0; k < sets; ++k) {
    for (std::size_t e = 0; e < examples; ++e) {
      const double difference = task.own[e] - task.random[k][e];
      largest = std::max(largest, std::abs(difference));
      by_set[k] += difference / n;
      by_example[e] += difference / m;
      center += difference / (m * n);
    }
  }
  double set_squares = 0, example_squares = 0, both_squares = 0;
  for (const double value : by_set) set_squares += n * std::pow(value - center, 2);
  for (const double value : by_example) example_squares += m * std::pow(value - center, 2);
  for (std::size_t k = 0; k < sets; ++k) {
    for (std::size_t e = 0; e < examples; ++e) {
      const double difference = task.own[e] - task.random[k][e];
      both_squares += std::pow(difference - by_set[k] - by_example[e] + center, 2);
    }
  }
  const double set_square = set_squares / (m - 1), example_square = example_squares / (n - 1),
               both_square = both_squares / ((m - 1) * (n - 1));
  Variance variance;
  // No component of variance is below 0, so none of the three sums is less than the largest.
  variance.value =
      std::max({set_square + example_square - both_square, set_square, example_square}) / (m * n);
  if (!(std::sqrt(variance.value) > kRounding * largest)) variance.value = 0;
  const double uncertainty = set_square * set_square / (m - 1) +
                             example_square * example_square / (n - 1) +
                             both_square * both_square / ((m - 1) * (n - 1));
  const double size = variance.value * m * n;
  variance.df = uncertainty > 0 ? std::max(size * size / uncertainty, std::min(m, n) - 1) : 0;
  if (!(task.seed_variance > 0)) return variance;
  return sum_variance({variance, {task.seed_variance, task.seed_df}});
}

void apply_test(const Variance& variance, Contrast& contrast) {
  const double error = std::sqrt(variance.value), t = contrast.difference / error;
  contrast.test = TTest{t, variance.df, student_t_two_sided(t, variance.df)};
  contrast.detectable = error * detectable_effect(variance.df, kAlpha, kPower);
}

void apply_interval(const Variance& variance, Contrast& contrast) {
  if (!(variance.value > 0)) {
    contrast.no_interval = "all differences are the same";
    return;
  }
  const double reach = student_t_quantile(1 - kAlpha / 2, variance.df) * std::sqrt(variance.value);
  contrast.interval = Interval{contrast.difference - reach, contrast.difference + reach};
}

}  // namespace taskneuron

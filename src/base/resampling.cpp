#include "taskneuron/base/resampling.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "taskneuron/base/error.h"
#include "taskneuron/base/random.h"
#include "taskneuron/base/statistics.h"

namespace taskneuron {

namespace {

double resampled_mean(const std::vector<double>& values, Random& random) {
  double sum = 0;
  for (std::size_t i = 0; i < values.size(); ++i) sum += values[random.below(values.size())];
  return sum / static_cast<double>(values.size());
}

// The value below which a share of a sorted list lies, between neighbours in proportion.
double quantile(const std::vector<double>& sorted, double share) {
  const double place = share * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(place);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  const double fraction = place - static_cast<double>(below);
  return sorted[below] + fraction * (sorted[above] - sorted[below]);
}

std::vector<std::vector<double>> standardised_columns(std::vector<std::vector<double>> matrix) {
  for (std::size_t column = 0; column < matrix.size(); ++column) {
    std::vector<double> values;
    for (const auto& row : matrix) values.push_back(row[column]);
    const double center = mean(values), spread = standard_deviation(values);
    for (auto& row : matrix) {
      row[column] = spread > 0 ? (row[column] - center) / spread : 0;
    }
  }
  return matrix;
}

// Mean diagonal − mean off-diagonal when row order[i] stands in place i.
double dominance(const std::vector<std::vector<double>>& matrix, double total,
                 const std::vector<std::size_t>& order) {
  const auto n = static_cast<double>(matrix.size());
  double diagonal = 0;
  for (std::size_t i = 0; i < order.size(); ++i) diagonal += matrix[order[i]][i];
  return diagonal / n - (total - diagonal) / (n * (n - 1));
}

}  // namespace

BootstrapResult paired_bootstrap(const std::vector<std::vector<double>>& strata, std::uint64_t seed,
                                 std::int64_t resamples) {
  TN_CHECK(!strata.empty() && resamples > 0);
  const auto tasks = static_cast<double>(strata.size());
  BootstrapResult result;
  for (const auto& values : strata) {
    TN_CHECK(!values.empty());
    result.difference += mean(values) / tasks;
  }
  Random random(seed, "paired bootstrap");
  std::vector<double> means;
  std::int64_t not_above = 0, not_below = 0;
  for (std::int64_t i = 0; i < resamples; ++i) {
    double sum = 0;
    for (const auto& values : strata) sum += resampled_mean(values, random) / tasks;
    means.push_back(sum);
    not_above += sum <= 0 ? 1 : 0;
    not_below += sum >= 0 ? 1 : 0;
  }
  std::sort(means.begin(), means.end());
  result.low = quantile(means, 0.025);
  result.high = quantile(means, 0.975);
  result.p = std::min(1.0, 2.0 * static_cast<double>(1 + std::min(not_above, not_below)) /
                               static_cast<double>(resamples + 1));
  return result;
}

DiagonalTest diagonal_test(const std::vector<std::vector<double>>& matrix, std::uint64_t seed,
                           std::int64_t resamples) {
  TN_CHECK(matrix.size() >= 2);
  for (const auto& row : matrix) TN_CHECK(row.size() == matrix.size());
  const auto standardised = standardised_columns(matrix);
  double total = 0;
  for (const auto& row : standardised) total += std::accumulate(row.begin(), row.end(), 0.0);
  std::vector<std::size_t> order(matrix.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  DiagonalTest result;
  result.statistic = dominance(standardised, total, order);
  // Sums of the same numbers in another order may differ in the last digits.
  const double at_least = result.statistic - 1e-9;
  const double every_order = std::tgamma(static_cast<double>(matrix.size()) + 1);
  result.exact = every_order <= static_cast<double>(resamples);
  std::int64_t reached = 0;
  if (result.exact) {
    do {
      reached += dominance(standardised, total, order) >= at_least ? 1 : 0;
      ++result.orders;
    } while (std::next_permutation(order.begin(), order.end()));
    result.p = static_cast<double>(reached) / static_cast<double>(result.orders);
    return result;
  }
  Random random(seed, "row permutation");
  for (result.orders = 0; result.orders < resamples; ++result.orders) {
    for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
    reached += dominance(standardised, total, order) >= at_least ? 1 : 0;
  }
  result.p = static_cast<double>(reached + 1) / static_cast<double>(result.orders + 1);
  return result;
}

}  // namespace taskneuron

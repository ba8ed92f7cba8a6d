#include "taskneuron/base/diagonal_test.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/check.h"
#include "base/orders_within.h"
#include "base/variance.h"
#include "taskneuron/base/statistics.h"

namespace taskneuron {

namespace {

std::vector<std::vector<double>> standardised_columns(std::vector<std::vector<double>> matrix) {
  for (std::size_t column = 0; column < matrix.size(); ++column) {
    std::vector<double> values;
    double largest = 0;
    for (const auto& row : matrix) {
      values.push_back(row[column]);
      largest = std::max(largest, std::abs(row[column]));
    }
    const double center = mean(values), spread = standard_deviation(values);
    const bool constant = !(spread > kRounding * largest);
    for (auto& row : matrix) row[column] = constant ? 0 : (row[column] - center) / spread;
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

DiagonalTest diagonal_test(const std::vector<std::vector<double>>& matrix,
                           const std::vector<std::string>& types, std::uint64_t seed,
                           std::int64_t draws) {
  TN_CHECK_GE(matrix.size(), 2);
  TN_CHECK_EQ(types.size(), matrix.size());
  for (const auto& row : matrix) TN_CHECK_EQ(row.size(), matrix.size());
  const auto standardised = standardised_columns(matrix);
  double total = 0;
  for (const auto& row : standardised) total += std::accumulate(row.begin(), row.end(), 0.0);
  const OrdersWithin orders(types);
  DiagonalTest result;
  result.statistic = dominance(standardised, total, orders.as_it_is());
  // Sums of the same numbers in another order may differ in the last digits.
  const double at_least = result.statistic - 1e-9;
  std::int64_t reached = 0;
  const auto take = [&](const OrdersWithin::Order& order) {
    reached += dominance(standardised, total, order) >= at_least ? 1 : 0;
    ++result.orders;
  };
  result.exact = orders.count() <= static_cast<double>(draws);
  if (result.exact) {
    orders.for_each(take);
  } else {
    Random random(seed, "row permutation");
    OrdersWithin::Order order = orders.as_it_is();
    while (result.orders < draws) {
      orders.shuffle(order, random);
      take(order);
    }
  }
  conclude(result, reached);
  return result;
}

}  // namespace taskneuron

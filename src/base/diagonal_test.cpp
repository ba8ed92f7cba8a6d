#include "taskneuron/base/diagonal_test.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <numeric>

#include "base/check.h"
#include "base/variance.h"
#include "taskneuron/base/random.h"
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

std::vector<std::vector<std::size_t>> rows_by_type(const std::vector<std::string>& types) {
  std::map<std::string, std::vector<std::size_t>> groups;
  for (std::size_t i = 0; i < types.size(); ++i) groups[types[i]].push_back(i);
  std::vector<std::vector<std::size_t>> rows;
  for (const auto& group : groups) rows.push_back(group.second);
  return rows;
}

double orders_within(const std::vector<std::vector<std::size_t>>& groups) {
  double orders = 1;
  for (const auto& group : groups) orders *= std::tgamma(static_cast<double>(group.size()) + 1);
  return orders;
}

// Calls take for every order that keeps the rows of each group among its places.
void every_order_of(const std::vector<std::vector<std::size_t>>& groups, std::size_t first,
                    std::vector<std::size_t>& order, const std::function<void()>& take) {
  if (first == groups.size()) return take();
  std::vector<std::size_t> rows = groups[first];
  do {
    for (std::size_t i = 0; i < rows.size(); ++i) order[groups[first][i]] = rows[i];
    every_order_of(groups, first + 1, order, take);
  } while (std::next_permutation(rows.begin(), rows.end()));
}

void shuffle_within(const std::vector<std::size_t>& places, std::vector<std::size_t>& order,
                    Random& random) {
  std::vector<std::size_t> there;
  for (const std::size_t place : places) there.push_back(order[place]);
  random.shuffle(there);
  for (std::size_t i = 0; i < places.size(); ++i) order[places[i]] = there[i];
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
  std::vector<std::size_t> order(matrix.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  DiagonalTest result;
  result.statistic = dominance(standardised, total, order);
  // Sums of the same numbers in another order may differ in the last digits.
  const double at_least = result.statistic - 1e-9;
  std::int64_t reached = 0;
  const auto take = [&] {
    reached += dominance(standardised, total, order) >= at_least ? 1 : 0;
    ++result.orders;
  };
  std::vector<std::vector<std::size_t>> groups = rows_by_type(types);
  const double every_order = orders_within(groups);
  result.exact = every_order <= static_cast<double>(draws);
  if (result.exact) {
    every_order_of(groups, 0, order, take);
  } else {
    Random random(seed, "row permutation");
    while (result.orders < draws) {
      for (const auto& group : groups) shuffle_within(group, order, random);
      take();
    }
  }
  conclude(result, reached);
  return result;
}

}  // namespace taskneuron

#include "analysis/ridge.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "base/variance.h"
#include "taskneuron/base/statistics.h"

namespace taskneuron {

namespace {

constexpr double kPenalty = 1;

using Rows = std::vector<std::vector<double>>;

// Solves a x = b for a positive definite a (Cholesky).
std::vector<double> solve(Rows a, std::vector<double> b) {
  const std::size_t n = b.size();
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j <= i; ++j) {
      double sum = a[i][j];
      for (std::size_t k = 0; k < j; ++k) sum -= a[i][k] * a[j][k];
      a[i][j] = i == j ? std::sqrt(sum) : sum / a[j][j];
    }
  }
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t k = 0; k < i; ++k) b[i] -= a[i][k] * b[k];
    b[i] /= a[i][i];
  }
  for (std::size_t i = n; i-- > 0;) {
    for (std::size_t k = i + 1; k < n; ++k) b[i] -= a[k][i] * b[k];
    b[i] /= a[i][i];
  }
  return b;
}

// The table without two tasks' rows and columns.
TaskTable without(const TaskTable& table, std::size_t first, std::size_t second) {
  TaskTable result;
  for (std::size_t i = 0; i < table.size(); ++i) {
    if (i == first || i == second) continue;
    auto& row = result.emplace_back();
    for (std::size_t j = 0; j < table.size(); ++j) {
      if (j != first && j != second) row.push_back(table[i][j]);
    }
  }
  return result;
}

}  // namespace

TaskTable within_targets(const TaskTable& table) {
  TaskTable result(table.size(), std::vector<std::optional<double>>(table.size()));
  for (std::size_t j = 0; j < table.size(); ++j) {
    std::vector<double> values;
    double largest = 0;
    for (std::size_t i = 0; i < table.size(); ++i) {
      if (i == j || !table[i][j]) continue;
      values.push_back(*table[i][j]);
      largest = std::max(largest, std::abs(values.back()));
    }
    const double spread = standard_deviation(values);
    if (!(spread > kRounding * largest)) continue;
    const double center = mean(values);
    for (std::size_t i = 0; i < table.size(); ++i) {
      if (i != j && table[i][j]) result[i][j] = (*table[i][j] - center) / spread;
    }
  }
  return result;
}

TaskTable filled(TaskTable table) {
  for (std::size_t i = 0; i < table.size(); ++i) {
    for (std::size_t j = 0; j < table.size(); ++j) {
      if (i != j && !table[i][j]) table[i][j] = 0;
    }
  }
  return table;
}

std::vector<double> ridge_weights(const std::vector<TaskTable>& predictors,
                                  const TaskTable& measured) {
  const std::size_t count = predictors.size();
  Rows products(count, std::vector<double>(count));
  std::vector<double> with_measured(count), x(count);
  double entries = 0;
  for (std::size_t i = 0; i < measured.size(); ++i) {
    for (std::size_t j = 0; j < measured.size(); ++j) {
      if (i == j || !measured[i][j]) continue;
      ++entries;
      for (std::size_t p = 0; p < count; ++p) x[p] = predictors[p][i][j].value_or(0);
      for (std::size_t p = 0; p < count; ++p) {
        with_measured[p] += x[p] * *measured[i][j];
        for (std::size_t q = 0; q <= p; ++q) products[p][q] += x[p] * x[q];
      }
    }
  }
  if (entries == 0) return std::vector<double>(count);
  for (std::size_t p = 0; p < count; ++p) {
    with_measured[p] /= entries;
    for (std::size_t q = 0; q <= p; ++q) products[p][q] /= entries;
    products[p][p] += kPenalty;
  }
  return solve(products, with_measured);
}

TaskTable cross_validated_ridge(const std::vector<TaskTable>& predictors,
                                const TaskTable& measured) {
  const std::size_t tasks = measured.size();
  TaskTable result(tasks, std::vector<std::optional<double>>(tasks));
  for (std::size_t i = 0; i < tasks; ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      std::vector<TaskTable> others;
      for (const TaskTable& one : predictors) {
        others.push_back(within_targets(without(one, i, j)));
      }
      const std::vector<double> weights =
          ridge_weights(others, within_targets(without(measured, i, j)));
      double forward = 0, backward = 0;
      for (std::size_t p = 0; p < predictors.size(); ++p) {
        forward += weights[p] * predictors[p][i][j].value_or(0);
        backward += weights[p] * predictors[p][j][i].value_or(0);
      }
      result[i][j] = forward;
      result[j][i] = backward;
    }
  }
  return result;
}

}  // namespace taskneuron

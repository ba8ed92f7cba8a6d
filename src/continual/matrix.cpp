#include "taskneuron/continual/matrix.h"

#include <algorithm>
#include <functional>

#include "taskneuron/base/error.h"

namespace taskneuron {

namespace {

using Value = std::optional<double>;

// Mean of term(i) over [begin, end); nothing for an empty range or where a term is nothing.
Value mean_of(std::size_t begin, std::size_t end, const std::function<Value(std::size_t)>& term) {
  if (begin >= end) return std::nullopt;
  double sum = 0;
  for (std::size_t i = begin; i < end; ++i) {
    const Value one = term(i);
    if (!one) return std::nullopt;
    sum += *one;
  }
  return sum / static_cast<double>(end - begin);
}

Value difference(const Value& a, const Value& b) { return a && b ? Value(*a - *b) : std::nullopt; }

Value ratio(const Value& a, const Value& b) {
  return a && b && *b != 0 ? Value(*a / *b) : std::nullopt;
}

}  // namespace

StreamMetrics stream_metrics(const StreamResults& results) {
  const auto& a = results.matrix;
  const std::size_t n = a.size();
  for (const auto& row : a) TN_CHECK(row.size() == n);
  TN_CHECK(n > 0 && results.zero_shot.size() == n && results.single.size() == n);
  StreamMetrics found;
  found.cl = mean_of(0, n, [&](std::size_t i) { return a[i][n - 1]; });
  for (std::size_t j = 0; j < n; ++j) {
    found.fg.push_back(
        mean_of(0, j, [&](std::size_t i) { return ratio(a[i][j], results.single[i]); }));
    found.fg_diagonal.push_back(
        mean_of(0, j, [&](std::size_t i) { return ratio(a[i][j], a[i][i]); }));
  }
  found.bwt = mean_of(0, n - 1, [&](std::size_t i) { return difference(a[i][n - 1], a[i][i]); });
  found.fwt =
      mean_of(1, n, [&](std::size_t i) { return difference(a[i][i - 1], results.zero_shot[i]); });
  found.forgetting = mean_of(0, n - 1, [&](std::size_t i) -> Value {
    Value best;
    for (std::size_t j = i; j + 1 < n; ++j) {
      if (!a[i][j]) return std::nullopt;
      best = best ? std::max(*best, *a[i][j]) : *a[i][j];
    }
    return difference(best, a[i][n - 1]);
  });
  return found;
}

const std::vector<StreamFormula>& stream_formulas() {
  static const std::vector<StreamFormula> formulas = {
      {"cl", "CL", "(1/N) sum over i of a[i,N]", true},
      {"fg", "FG",
       "at stage j: 1/(j-1) sum over i<j of a[i,j]/A_i, A_i = task i trained alone "
       "(a retention)",
       true},
      {"fg_diagonal", "FG-diag", "FG with a[i,i] in A_i's place", true},
      {"bwt", "BWT", "1/(N-1) sum over i<N of a[i,N] - a[i,i]", true},
      {"fwt", "FWT", "1/(N-1) sum over i>1 of a[i,i-1] - z_i, z_i = task i before any training",
       true},
      {"forgetting", "forgetting", "1/(N-1) sum over i<N of (max over i<=j<N of a[i,j]) - a[i,N]",
       false}};
  return formulas;
}

}  // namespace taskneuron

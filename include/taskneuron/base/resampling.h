#pragma once

#include <cstdint>
#include <vector>

namespace taskneuron {

constexpr std::int64_t kResamples = 10000;

// A mean difference with its percentile bootstrap interval (95%) and two-sided p-value.
struct BootstrapResult {
  double difference = 0;
  double low = 0;
  double high = 0;
  double p = 1;  // never below 1 / (resamples + 1)
};

// strata[i]: differences of task i's paired items (a − b of the same example). The statistic is the
// mean over tasks of the mean over items; items are redrawn within each task (Efron & Tibshirani
// 1993, ch. 13, 16). REQUIRES strata that are not empty.
BootstrapResult paired_bootstrap(const std::vector<std::vector<double>>& strata, std::uint64_t seed,
                                 std::int64_t resamples = kResamples);

// Whether a square matrix is larger on its diagonal than off it.
struct DiagonalTest {
  double statistic = 0;  // mean diagonal − mean off-diagonal, columns standardised
  double p = 1;          // one-sided: share of row orders whose statistic is at least as large
  std::int64_t orders = 0;
  bool exact = false;  // all orders were tried, not a random draw of them
};

// matrix[i][j]: row i's effect on column j. Columns are standardised (a constant one becomes zero)
// and rows permuted: all n! orders where there are at most `resamples`, else so many random ones,
// the observed one counted in. REQUIRES a square matrix of at least two rows.
DiagonalTest diagonal_test(const std::vector<std::vector<double>>& matrix, std::uint64_t seed,
                           std::int64_t resamples = kResamples);

}  // namespace taskneuron

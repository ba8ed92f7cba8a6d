#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "taskneuron/base/inference.h"

namespace taskneuron {

// Whether a square matrix is larger on its diagonal than off it.
struct DiagonalTest : Randomisation {  // one-sided
  double statistic = 0;                // mean diagonal − mean off-diagonal, columns standardised
};

// matrix[i][j]: row i's effect on column j. Columns are standardised (a constant one becomes zero)
// and rows permuted among those of the same type, by names in `types`: all orders where there are
// at most `draws`, else so many random ones, the observed one counted in. p: the share of orders
// whose statistic is at least as large. REQUIRES a square matrix of at least two rows, each with a
// type.
DiagonalTest diagonal_test(const std::vector<std::vector<double>>& matrix,
                           const std::vector<std::string>& types, std::uint64_t seed,
                           std::int64_t draws = kDraws);

}  // namespace taskneuron

#pragma once

#include <vector>

#include "taskneuron/base/inference.h"

namespace taskneuron {

// Spreads up to this share of the largest score are rounding of sums, and count as none.
constexpr double kRounding = 1e-9;

// An estimated variance with its degrees of freedom (0: none are known).
struct Variance {
  double value = 0;
  double df = 0;
};

// Of a sum of independent estimates (Satterthwaite 1946).
Variance sum_variance(const std::vector<Variance>& parts);
// Of the mean of independent estimates.
Variance mean_variance(const std::vector<Variance>& parts);

// Of own − mean of random sets, examples and sets both drawn (docs/method.md). REQUIRES two of
// either.
Variance crossed_variance(const SetScores& task);

// t test of the contrast's difference against 0, with what it could have seen.
void apply_test(const Variance& variance, Contrast& contrast);
void apply_interval(const Variance& variance, Contrast& contrast);

// One task's scores with its own set and with every random one.
struct SetMeans {
  double own = 0;
  std::vector<double> random;
};
// Fills p and smallest_p of a test whose `orders` were tried: `reached` of them were at least as
// extreme as what was observed, which is one more where orders were drawn at random.
void conclude(Randomisation& test, std::int64_t reached);

// rounding: differences up to this are ties.
Randomisation exchange_sets(const std::vector<SetMeans>& tasks, double rounding, std::uint64_t seed,
                            std::int64_t draws);

}  // namespace taskneuron

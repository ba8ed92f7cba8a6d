#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "statistics/population.h"
#include "taskneuron/continual/summary.h"

namespace taskneuron::statistics {

// Differences of two methods over orders and seeds: one of its own for every stream (standard
// deviation 1), and what an order or a seed gives to all of its streams.
struct StreamDesign {
  std::size_t orders = 3;
  std::size_t seeds = 3;
  double order = 0;  // standard deviations
  double seed = 0;
  double alike = 0;  // share of its own variance that the second order has in common with the first
};

inline std::vector<ScoredStream> sample_streams(const StreamDesign& design, double difference,
                                                Draws& draws) {
  std::vector<double> by_order, by_seed;
  for (std::size_t o = 0; o < design.orders; ++o) by_order.push_back(design.order * draws.normal());
  for (std::size_t s = 0; s < design.seeds; ++s) by_seed.push_back(design.seed * draws.normal());
  std::vector<ScoredStream> streams;
  std::vector<double> first;  // of every seed, the first order's own
  for (std::size_t o = 0; o < design.orders; ++o) {
    for (std::size_t s = 0; s < design.seeds; ++s) {
      double own = draws.normal();
      if (o == 0) first.push_back(own);
      if (o == 1) own = std::sqrt(design.alike) * first[s] + std::sqrt(1 - design.alike) * own;
      ScoredStream one{"a", std::to_string(o), s, {}};
      one.metrics.cl = difference + by_order[o] + by_seed[s] + own;
      streams.push_back(one);
      one.method = "b";
      one.metrics.cl = 0;
      streams.push_back(one);
    }
  }
  return streams;
}

struct StreamRates {
  double covered = 0;  // intervals that hold the difference
  double found = 0;    // verdicts where there is no difference, either way
  double power = 0;    // verdicts where there is one of so many standard deviations of a stream
};
constexpr double kStreamDifference = 4;

inline StreamRates stream_rates(const StreamDesign& design, std::size_t simulations, Draws& draws) {
  StreamRates rates;
  const double each = 1 / static_cast<double>(simulations);
  for (std::size_t k = 0; k < simulations; ++k) {
    const StreamComparison one =
        stream_summary(sample_streams(design, 0, draws)).comparisons.front();
    const Interval& interval = one.contrast.interval.value();
    if (interval.low <= 0 && interval.high >= 0) rates.covered += each;
    const bool apart = judge(one) != Verdict::kUndetermined;
    if (apart) rates.found += each;
    const StreamComparison other =
        stream_summary(sample_streams(design, kStreamDifference, draws)).comparisons.front();
    if (judge(other) != Verdict::kUndetermined) rates.power += each;
  }
  return rates;
}

}  // namespace taskneuron::statistics

#pragma once

#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

#include "base/variance.h"
#include "statistics/population.h"

namespace taskneuron::statistics {

// What the library's interval is compared with: sets and examples redrawn, both (Owen 2007), for
// one task. Neither covers better than the variance components that it uses (docs/statistics.md).
struct BootstrapIntervals {
  std::optional<Interval> percentile;
  std::optional<Interval> studentised;  // each resample by its own crossed variance
};

inline SetScores resample(const SetScores& scores, Draws& draws) {
  const std::size_t examples = scores.own.size(), sets = scores.random.size();
  std::vector<std::size_t> chosen(examples);
  for (std::size_t& e : chosen) e = draws.below(examples);
  const auto take = [&](const std::vector<double>& row) {
    std::vector<double> taken;
    taken.reserve(examples);
    for (const std::size_t e : chosen) taken.push_back(row[e]);
    return taken;
  };
  SetScores result;
  result.own = take(scores.own);
  for (std::size_t k = 0; k < sets; ++k) {
    result.random.push_back(take(scores.random[draws.below(sets)]));
  }
  return result;
}

inline double own_minus_mean(const SetScores& scores) {
  double own = 0, random = 0;
  for (const double value : scores.own) own += value;
  for (const auto& row : scores.random) {
    for (const double value : row) random += value;
  }
  const auto examples = static_cast<double>(scores.own.size());
  return own / examples - random / examples / static_cast<double>(scores.random.size());
}

inline BootstrapIntervals crossed_bootstrap(const SetScores& scores, std::size_t resamples,
                                            Draws& draws) {
  const double difference = own_minus_mean(scores);
  const double error = std::sqrt(crossed_variance(scores).value);
  std::vector<double> differences, studentised;
  for (std::size_t i = 0; i < resamples; ++i) {
    const SetScores again = resample(scores, draws);
    differences.push_back(own_minus_mean(again));
    const double its_error = std::sqrt(crossed_variance(again).value);
    studentised.push_back(its_error > 0 ? (differences.back() - difference) / its_error : 0);
  }
  const auto at = [&](std::vector<double>& values, double share) {
    const auto place = static_cast<std::ptrdiff_t>(share * static_cast<double>(values.size() - 1));
    std::nth_element(values.begin(), values.begin() + place, values.end());
    return values[static_cast<std::size_t>(place)];
  };
  return {Interval{at(differences, 0.025), at(differences, 0.975)},
          Interval{difference - at(studentised, 0.975) * error,
                   difference - at(studentised, 0.025) * error}};
}

}  // namespace taskneuron::statistics

#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "statistics/population.h"
#include "taskneuron/analysis/forecast.h"
#include "taskneuron/base/correlation.h"

namespace taskneuron::statistics {

// Points of two quantities whose normal scores correlate. tied: rounded, so that values repeat.
struct Pairs {
  std::vector<double> x, y;
};

inline Pairs draw_pairs(Draws& draws, std::size_t points, double correlation, bool tied = false) {
  Pairs pairs;
  const double rest = std::sqrt(1 - correlation * correlation);
  for (std::size_t i = 0; i < points; ++i) {
    const double x = draws.normal(), y = correlation * x + rest * draws.normal();
    pairs.x.push_back(tied ? std::round(x) : x);
    pairs.y.push_back(tied ? std::round(y) : y);
  }
  return pairs;
}

// Share of p <= kAlpha where two quantities have nothing to do with each other.
inline double null_correlation(CorrelationKind kind, std::size_t points, bool tied,
                               std::size_t simulations) {
  Draws draws(3, "null correlation " + std::to_string(points) + (tied ? " tied" : ""));
  double rejected = 0;
  for (std::size_t i = 0; i < simulations; ++i) {
    const Pairs pairs = draw_pairs(draws, points, 0, tied);
    const Correlation found = correlate(kind, pairs.x, pairs.y, {i, 5040, 999});
    rejected += found.p().value_or(1) <= kAlpha + 1e-12 ? 1 : 0;
  }
  return rejected / static_cast<double>(simulations);
}

// What Spearman's correlation is in a normal population.
inline double of_ranks(double correlation) {
  return 6 / std::acos(-1.0) * std::asin(correlation / 2);
}

// Share of the intervals there are that hold the population's correlation.
inline double correlation_coverage(CorrelationKind kind, std::size_t points, double correlation,
                                   std::size_t simulations) {
  Draws draws(4, "correlation " + std::to_string(points));
  const double truth = kind == CorrelationKind::kPearson ? correlation : of_ranks(correlation);
  double covered = 0, all = 0;
  for (std::size_t i = 0; i < simulations; ++i) {
    const Pairs pairs = draw_pairs(draws, points, correlation);
    const Correlation found = correlate(kind, pairs.x, pairs.y, {i, 0, 1});
    if (!found.interval) continue;
    all += 1;
    covered += found.interval->low <= truth && truth <= found.interval->high ? 1 : 0;
  }
  return covered / all;
}

// The same of the difference of two correlations with one quantity, which are .2 and .7.
inline double difference_coverage(CorrelationKind kind, std::size_t points,
                                  std::size_t simulations) {
  Draws draws(5, "difference " + std::to_string(points));
  const double truth = kind == CorrelationKind::kPearson ? 0.5 : of_ranks(0.7) - of_ranks(0.2);
  double covered = 0, all = 0;
  for (std::size_t i = 0; i < simulations; ++i) {
    std::vector<double> early, late, y;
    for (std::size_t point = 0; point < points; ++point) {
      y.push_back(draws.normal());
      early.push_back(0.2 * y.back() + std::sqrt(1 - 0.04) * draws.normal());
      late.push_back(0.7 * y.back() + std::sqrt(1 - 0.49) * draws.normal());
    }
    const CorrelationDifference found = correlation_difference(kind, early, late, y);
    if (!found.interval) continue;
    all += 1;
    covered += found.interval->low <= truth && truth <= found.interval->high ? 1 : 0;
  }
  return covered / all;
}

// A table of task pairs: something of the source, of the target, and of the pair.
inline TaskTable draw_table(Draws& draws, std::size_t tasks) {
  std::vector<double> source, target;
  for (std::size_t t = 0; t < tasks; ++t) {
    source.push_back(draws.normal());
    target.push_back(draws.normal());
  }
  TaskTable table(tasks, std::vector<std::optional<double>>(tasks));
  for (std::size_t i = 0; i < tasks; ++i) {
    for (std::size_t j = 0; j < tasks; ++j) {
      if (i != j) table[i][j] = source[i] + 3 * target[j] + draws.normal();
    }
  }
  return table;
}

struct ForecastRates {
  double predictor = 0;  // share of p <= kAlpha
  double ridge = 0;
  double covered = 0;  // share of a predictor's intervals that hold 0
};

// Where predictors and measured changes have nothing to do with each other.
inline ForecastRates null_forecast(std::size_t tasks, std::size_t simulations) {
  Draws draws(6, "forecast " + std::to_string(tasks));
  ForecastRates rates;
  const double one = 1 / static_cast<double>(simulations);
  std::vector<std::string> names(tasks);
  for (std::size_t t = 0; t < tasks; ++t) names[t] = std::to_string(t);
  for (std::size_t i = 0; i < simulations; ++i) {
    const Forecast found =
        forecast({names,
                  draw_table(draws, tasks),
                  {{"a", draw_table(draws, tasks)}, {"b", draw_table(draws, tasks)}},
                  i,
                  1,
                  199});
    for (const ForecastScore& score : found.scores) {
      const bool rejects = score.permutation && score.permutation->p.value_or(1) <= kAlpha + 1e-12;
      if (score.name == "a") rates.predictor += rejects ? one : 0;
      if (score.name == "ridge") rates.ridge += rejects ? one : 0;
      if (score.name != "a" || !score.interval) continue;
      rates.covered += score.interval->low <= 0 && 0 <= score.interval->high ? one : 0;
    }
  }
  return rates;
}

}  // namespace taskneuron::statistics

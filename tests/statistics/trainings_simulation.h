#pragma once

#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "statistics/population.h"
#include "taskneuron/base/trainings.h"

namespace taskneuron::statistics {

// Models of a sweep: points of a curve, each trained from several seeds, all scored on the same
// examples of several tasks. Nothing differs between the points.
struct SweepDesign {
  std::size_t points = 9;
  std::size_t seeds = 3;
  std::size_t tasks = 3;
  std::size_t examples = 150;
  double unequal = 1;  // how many times the last point's spread between trainings the first's is
};

inline std::vector<Trainings> sample_trainings(const Population& population,
                                               const SweepDesign& design, Draws& draws) {
  std::vector<Trainings> points(design.points);
  std::vector<std::vector<double>> easy(design.tasks);
  for (std::vector<double>& task : easy) {
    for (std::size_t e = 0; e < design.examples; ++e) {
      task.push_back(population.center + population.example * draws.normal());
    }
  }
  for (std::size_t p = 0; p < design.points; ++p) {
    const double place = static_cast<double>(p) / static_cast<double>(design.points - 1);
    const double spread = population.seed * std::pow(design.unequal, place);
    Trainings& point = points[p];
    point.resize(design.tasks);
    for (TrainedScores& task : point) task.share = 1 / static_cast<double>(design.tasks);
    for (std::size_t s = 0; s < design.seeds; ++s) {
      const double training = draws.normal();  // a training that goes well does so on all tasks
      for (std::size_t t = 0; t < design.tasks; ++t) {
        const double moved = spread * (training + draws.normal()) / std::sqrt(2.0);
        std::vector<double>& row = point[t].by_seed.emplace_back();
        for (std::size_t e = 0; e < design.examples; ++e) {
          row.push_back(population.score(easy[t][e] + moved + population.both * draws.normal()));
        }
      }
    }
  }
  return points;
}

struct SweepRates {
  double covered = 0;         // means of points
  double lowest_covered = 1;  // of the point that is covered worst
  double rejected = 0;        // differences of two points, p <= kAlpha
  double told = 0;            // curves of which any point is told from the best
};

inline SweepRates sweep_rates(const Population& population, const SweepDesign& design,
                              std::size_t simulations) {
  Draws draws(3, "sweep " + population.name + std::to_string(design.seeds) +
                     std::to_string(design.unequal));
  std::vector<double> covered(design.points, 0);
  SweepRates rates;
  const auto n = static_cast<double>(simulations);
  for (std::size_t i = 0; i < simulations; ++i) {
    const std::vector<Trainings> points = sample_trainings(population, design, draws);
    const SeedVariance pooled = pooled_seed_variance(points);
    for (std::size_t p = 0; p < design.points; ++p) {
      const double place = static_cast<double>(p) / static_cast<double>(design.points - 1);
      Population one = population;
      one.seed *= std::pow(design.unequal, place);
      const double truth = one.expected(0);
      const auto interval = mean_of_trainings(points[p], pooled).interval;
      if (interval && interval->low <= truth && truth <= interval->high) covered[p] += 1 / n;
    }
    const Contrast difference = contrast_of_trainings({&points[0], &points[1]}, {1, -1}, pooled);
    rates.rejected += difference.p().value_or(1) <= kAlpha ? 1 / n : 0;
    const std::vector<Trainings> curve(points.begin(), points.begin() + 5);
    bool any = false;
    for (const bool told : best_of(curve, pooled, true).told_apart) any = any || told;
    rates.told += any ? 1 / n : 0;
  }
  for (const double share : covered) {
    rates.covered += share / static_cast<double>(design.points);
    rates.lowest_covered = std::min(rates.lowest_covered, share);
  }
  return rates;
}

// Seeds and examples redrawn, percentiles of 399 means: what the interval is compared with.
inline double two_level_bootstrap_coverage(const Population& population, const SweepDesign& design,
                                           std::size_t simulations) {
  Draws draws(4, "two-level " + population.name + std::to_string(design.seeds));
  const double truth = population.expected(0);
  std::size_t covered = 0;
  for (std::size_t i = 0; i < simulations; ++i) {
    SweepDesign one = design;
    one.points = 2;
    const Trainings point = sample_trainings(population, one, draws).front();
    std::vector<double> means;
    for (int b = 0; b < 399; ++b) {
      double sum = 0;
      std::vector<std::size_t> seeds(design.seeds);
      for (std::size_t& s : seeds) s = draws.below(design.seeds);
      for (const TrainedScores& task : point) {
        for (std::size_t e = 0; e < design.examples; ++e) {
          const std::size_t chosen = draws.below(design.examples);
          for (const std::size_t s : seeds) sum += task.by_seed[s][chosen];
        }
      }
      means.push_back(sum / static_cast<double>(design.tasks * design.examples * design.seeds));
    }
    std::sort(means.begin(), means.end());
    covered += means[9] <= truth && truth <= means[389] ? 1 : 0;
  }
  return static_cast<double>(covered) / static_cast<double>(simulations);
}

}  // namespace taskneuron::statistics

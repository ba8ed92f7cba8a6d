#pragma once

#include <cmath>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "statistics/population.h"
#include "taskneuron/base/diagonal_test.h"
#include "taskneuron/base/inference.h"

namespace taskneuron::statistics {

// Size of an experiment that is simulated.
struct Design {
  std::size_t examples = 150;
  std::size_t sets = 19;
  std::size_t tasks = 1;
  std::size_t seeds = 1;
};

inline std::string label(const Population& population, const Design& design) {
  std::string text = population.name + ", n " + std::to_string(design.examples) + ", m " +
                     std::to_string(design.sets);
  if (design.tasks > 1) text += ", " + std::to_string(design.tasks) + " tasks";
  if (design.seeds > 1) text += ", " + std::to_string(design.seeds) + " seeds";
  return text;
}

// Tasks of one metric, some harder than others.
inline Population task_of(Population population, std::size_t task) {
  population.center *= 1 + 0.3 * static_cast<double>(task % 4);
  population.set *= 1 + 0.3 * static_cast<double>(task % 3);
  return population;
}

// Share of simulations in which each test says p <= kAlpha, by the test's name.
using Shares = std::map<std::string, double>;

inline void count(Shares& shares, const std::string& name, const std::optional<double>& p,
                  std::size_t simulations) {
  double& share = shares[name];
  if (p && *p <= kAlpha + 1e-12) share += 1 / static_cast<double>(simulations);
}

// Own sets that are random ones: what the tests of own against random reject.
inline Shares null_own_against_random(const Population& population, const Design& design,
                                      std::size_t simulations,
                                      std::int64_t draws_of_sets = kDraws) {
  Draws draws(1, "null " + label(population, design));
  Shares shares;
  for (std::size_t i = 0; i < simulations; ++i) {
    std::vector<SetScores> tasks;
    for (std::size_t task = 0; task < design.tasks; ++task) {
      const Population one = task_of(population, task);
      tasks.push_back(
          one.sample(design.sets, design.examples, one.draw_set(draws), draws, design.seeds));
    }
    const Contrast contrast = own_minus_random(tasks, i, draws_of_sets);
    count(shares, "t", contrast.test ? std::optional(contrast.test->p) : std::nullopt, simulations);
    count(shares, "randomisation", contrast.randomisation->p, simulations);
  }
  return shares;
}

// A shift of the latent number that a task's own units could plausibly cause.
inline double effect_of(const Population& population) {
  switch (population.kind) {
    case Population::Kind::kAccuracy: return -0.5;
    case Population::Kind::kRouge: return -0.06;
    case Population::Kind::kLoss: return 0.5;
  }
  return 0;
}

using IntervalOf = std::function<std::optional<Interval>(const std::vector<SetScores>&)>;

inline std::optional<Interval> interval_of(const std::vector<SetScores>& tasks) {
  return own_minus_random(tasks, 0, 1).interval;
}

// Share of simulations whose interval holds the true own minus mean of random sets, where the own
// set moves the latent number by `shift`.
inline double coverage(const Population& population, const Design& design, double shift,
                       std::size_t simulations, const IntervalOf& interval = interval_of) {
  Draws draws(1, "coverage " + label(population, design) + std::to_string(shift));
  double truth = 0;
  for (std::size_t task = 0; task < design.tasks; ++task) {
    const Population one = task_of(population, task);
    truth += (one.expected(shift) - one.expected_random()) / static_cast<double>(design.tasks);
  }
  std::size_t covered = 0;
  for (std::size_t i = 0; i < simulations; ++i) {
    std::vector<SetScores> tasks;
    for (std::size_t task = 0; task < design.tasks; ++task) {
      tasks.push_back(task_of(population, task)
                          .sample(design.sets, design.examples, shift, draws, design.seeds));
    }
    const std::optional<Interval> found = interval(tasks);
    covered += found && found->low <= truth && truth <= found->high ? 1 : 0;
  }
  return static_cast<double>(covered) / static_cast<double>(simulations);
}

struct PairedRates {
  double rejected = 0;  // p <= kAlpha though there is no difference
  double covered = 0;   // of a true difference
};

// Own set against the model as it is: both fixed, examples alone are drawn.
inline PairedRates paired_rates(Population population, const Design& design, double shift,
                                std::size_t simulations) {
  population.set = 0;
  Draws draws(1, "paired " + label(population, design));
  PairedRates rates;
  const auto contrast_at = [&](double moved) {
    std::vector<std::vector<double>> tasks;
    for (std::size_t task = 0; task < design.tasks; ++task) {
      const SetScores scores = task_of(population, task).sample(1, design.examples, moved, draws);
      std::vector<double>& differences = tasks.emplace_back(scores.own);
      for (std::size_t e = 0; e < differences.size(); ++e) differences[e] -= scores.random[0][e];
    }
    return paired_difference(tasks);
  };
  double truth = 0;
  for (std::size_t task = 0; task < design.tasks; ++task) {
    const Population one = task_of(population, task);
    truth += (one.expected(shift) - one.expected(0)) / static_cast<double>(design.tasks);
  }
  for (std::size_t i = 0; i < simulations; ++i) {
    const Contrast null = contrast_at(0), moved = contrast_at(shift);
    if (null.test && null.test->p <= kAlpha) rates.rejected += 1;
    if (moved.interval && moved.interval->low <= truth && truth <= moved.interval->high) {
      rates.covered += 1;
    }
  }
  rates.rejected /= static_cast<double>(simulations);
  rates.covered /= static_cast<double>(simulations);
  return rates;
}

enum class Permuted { kWithinType, kOverAll };

// Cross matrices of two task types without anything specific to a task: units of a type harm its
// type more, some sets harm more than others, some tasks are harmed more.
inline double null_diagonal(std::size_t rows_per_type, Permuted permuted, std::size_t simulations,
                            std::int64_t orders) {
  Draws draws(1, "diagonal");
  const std::size_t n = 2 * rows_per_type;
  std::size_t rejected = 0;
  for (std::size_t s = 0; s < simulations; ++s) {
    std::vector<double> harm(n), harmed(n);
    for (std::size_t i = 0; i < n; ++i) {
      harm[i] = 1 + 0.3 * draws.normal();
      harmed[i] = std::exp(draws.normal());
    }
    std::vector<std::vector<double>> matrix(n, std::vector<double>(n));
    std::vector<std::string> types;
    for (std::size_t i = 0; i < n; ++i) {
      types.push_back(permuted == Permuted::kWithinType && i % 2 == 1 ? "generation"
                                                                      : "classification");
      for (std::size_t j = 0; j < n; ++j) {
        const double block = i % 2 == j % 2 ? 2.0 : 1.0;
        matrix[i][j] = harmed[j] * (block * harm[i] + 0.5 * draws.normal());
      }
    }
    const DiagonalTest test = diagonal_test(matrix, types, s, orders);
    rejected += test.p && *test.p <= kAlpha + 1e-12 ? 1 : 0;
  }
  return static_cast<double>(rejected) / static_cast<double>(simulations);
}

}  // namespace taskneuron::statistics

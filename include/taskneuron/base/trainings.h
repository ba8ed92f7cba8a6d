#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "taskneuron/base/inference.h"

namespace taskneuron {

// Means over the scores of models that were trained several times (method, "Several trainings").

// One task's scores by training and example, and its share of the mean; shares add up to 1.
struct TrainedScores {
  std::vector<std::vector<double>> by_seed;  // [seeds][examples], of the same examples
  double share = 1;
};

// One way of training, from one or more seeds: what all its models score on the same tasks.
using Trainings = std::vector<TrainedScores>;

// How far trainings of one kind differ: the variance of the mean over their seeds.
struct SeedVariance {
  double value = 0;
  double df = 0;  // 0: one training each, nothing is known
};

// That of trainings which are alike in how much they differ, pooled. REQUIRES as many seeds in all.
SeedVariance pooled_seed_variance(const std::vector<Trainings>& alike);

// The mean over tasks and seeds with its interval over both trainings and examples; of one seed,
// over examples alone. `pooled`: of trainings like these; the variance is not less than that.
Contrast mean_of_trainings(const Trainings& trainings, const SeedVariance& pooled);

// Σ coefficient · mean of the trainings at the same place, paired by example, with the test of its
// being 0: {1, −1} is a difference. Of one training each neither test nor interval. REQUIRES the
// same tasks, shares, examples and number of seeds in all. `pooled`: of trainings like these.
// least_df: of the test, where the estimate of its own degrees of freedom is less.
Contrast contrast_of_trainings(const std::vector<const Trainings*>& points,
                               const std::vector<double>& coefficients, const SeedVariance& pooled,
                               double least_df = 1);

// Which of several means is best, and what can be told from it.
struct Best {
  std::size_t at = 0;
  // Of every other one: whether the test of their difference, corrected over all pairs (Holm 1979),
  // tells it from the best. [at] is false.
  std::vector<bool> told_apart;
  // Corrected, of the best and each; nothing at the best, and where there is no test.
  std::vector<std::optional<double>> p;
};
// points: ways of training in one order. REQUIRES a point; ties go to the first.
Best best_of(const std::vector<Trainings>& points, const SeedVariance& pooled, bool higher);

}  // namespace taskneuron

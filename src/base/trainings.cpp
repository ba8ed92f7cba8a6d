#include "taskneuron/base/trainings.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "base/variance.h"
#include "taskneuron/base/statistics.h"

namespace taskneuron {

namespace {

std::size_t seeds_of(const Trainings& trainings) {
  TN_CHECK(!trainings.empty());
  const std::size_t seeds = trainings.front().by_seed.size();
  TN_CHECK_GT(seeds, 0);
  for (const TrainedScores& task : trainings) TN_CHECK_EQ(task.by_seed.size(), seeds);
  return seeds;
}

// The mean over tasks of each training. Different trainings are independent.
std::vector<double> means_by_seed(const Trainings& trainings) {
  std::vector<double> means(seeds_of(trainings), 0);
  for (const TrainedScores& task : trainings) {
    for (std::size_t s = 0; s < means.size(); ++s) means[s] += task.share * mean(task.by_seed[s]);
  }
  return means;
}

SeedVariance seed_variance(const Trainings& trainings) {
  const std::vector<double> means = means_by_seed(trainings);
  return {std::pow(standard_error(means), 2), static_cast<double>(means.size()) - 1};
}

// What examples add, and what is counted both there and among the seeds: a two-way analysis of
// variance without replication, task by task.
struct ExampleParts {
  std::vector<Variance> examples;
  std::vector<Variance> both;
};

ExampleParts example_parts(const Trainings& trainings) {
  ExampleParts parts;
  for (const TrainedScores& task : trainings) {
    const std::vector<double> by_example = mean_over_seeds(task.by_seed);
    const double n = static_cast<double>(by_example.size()),
                 seeds = static_cast<double>(task.by_seed.size()), center = mean(by_example),
                 weight = task.share * task.share;
    if (n < 2) continue;
    parts.examples.push_back({weight * std::pow(standard_error(by_example), 2), n - 1});
    if (seeds < 2) continue;
    double squares = 0;
    for (const std::vector<double>& scores : task.by_seed) {
      const double of_seed = mean(scores);
      for (std::size_t e = 0; e < scores.size(); ++e) {
        squares += std::pow(scores[e] - of_seed - by_example[e] + center, 2);
      }
    }
    const double df = (n - 1) * (seeds - 1);
    parts.both.push_back({weight * squares / df / (n * seeds), df});
  }
  return parts;
}

// No component of variance is below 0, so the sum is not less than either of its parts.
Variance total_variance(const SeedVariance& seeds, const ExampleParts& parts, double least_df) {
  const Variance examples = sum_variance(parts.examples), both = sum_variance(parts.both);
  if (!(seeds.df > 0)) return examples;
  Variance total;
  total.value = std::max({seeds.value + examples.value - both.value, seeds.value, examples.value});
  const auto part = [](double value, double df) { return df > 0 ? value * value / df : 0; };
  const double uncertainty =
      part(seeds.value, seeds.df) + part(examples.value, examples.df) + part(both.value, both.df);
  if (uncertainty > 0) total.df = std::max(total.value * total.value / uncertainty, least_df);
  return total;
}

double largest_score(const Trainings& trainings) {
  double largest = 0;
  for (const TrainedScores& task : trainings) {
    for (const auto& scores : task.by_seed) {
      for (const double value : scores) largest = std::max(largest, std::abs(value));
    }
  }
  return largest;
}

// The mean of scores, with that variance; a spread that is rounding counts as none.
void conclude(const Trainings& scores, double largest, Variance variance, Contrast& contrast) {
  const std::vector<double> means = means_by_seed(scores);
  contrast.difference = mean(means);
  contrast.tasks = static_cast<std::int64_t>(scores.size());
  for (const TrainedScores& task : scores) {
    contrast.examples += static_cast<std::int64_t>(task.by_seed.front().size());
    if (task.by_seed.front().size() < 2) {
      contrast.no_test = contrast.no_interval = "one example shows no spread between examples";
    }
  }
  if (!contrast.no_interval.empty()) return;
  if (!(std::sqrt(variance.value) > kRounding * largest)) variance.value = 0;
  apply_interval(variance, contrast);
  if (variance.value > 0) {
    apply_test(variance, contrast);
  } else {
    contrast.no_test = "all differences are the same";
  }
}

// Σ coefficient · score, example by example.
Trainings combine(const std::vector<const Trainings*>& points,
                  const std::vector<double>& coefficients) {
  Trainings result = *points.front();
  for (TrainedScores& task : result) {
    for (auto& scores : task.by_seed) std::fill(scores.begin(), scores.end(), 0.0);
  }
  for (std::size_t i = 0; i < points.size(); ++i) {
    const Trainings& point = *points[i];
    TN_CHECK_EQ(point.size(), result.size());
    for (std::size_t t = 0; t < point.size(); ++t) {
      TN_CHECK_EQ(point[t].by_seed.size(), result[t].by_seed.size());
      for (std::size_t s = 0; s < point[t].by_seed.size(); ++s) {
        const std::vector<double>& scores = point[t].by_seed[s];
        std::vector<double>& sums = result[t].by_seed[s];
        TN_CHECK_EQ(scores.size(), sums.size());
        for (std::size_t e = 0; e < scores.size(); ++e) sums[e] += coefficients[i] * scores[e];
      }
    }
  }
  return result;
}

// The points' own variance between seeds, and not less than that of all like them, as two or three
// trainings hardly show it. How well it is known is a matter of all together: by its own degrees of
// freedom an interval from two trainings would say nothing.
SeedVariance combined_variance(const std::vector<const Trainings*>& points,
                               const std::vector<double>& coefficients,
                               const SeedVariance& pooled) {
  double own = 0, of_all = 0;
  for (std::size_t i = 0; i < points.size(); ++i) {
    const double weight = coefficients[i] * coefficients[i];
    own += weight * seed_variance(*points[i]).value;
    of_all += weight * pooled.value;
  }
  return {std::max(own, of_all), pooled.df};
}

// REQUIRES as many points as coefficients, and a point.
Contrast combined(const std::vector<const Trainings*>& points,
                  const std::vector<double>& coefficients, const SeedVariance& pooled,
                  double least_df) {
  TN_CHECK(!points.empty());
  TN_CHECK_EQ(points.size(), coefficients.size());
  double largest = 0;
  for (const Trainings* point : points) largest = std::max(largest, largest_score(*point));
  const Trainings scores = combine(points, coefficients);
  Contrast contrast;
  conclude(scores, largest,
           total_variance(combined_variance(points, coefficients, pooled), example_parts(scores),
                          least_df),
           contrast);
  return contrast;
}

}  // namespace

SeedVariance pooled_seed_variance(const std::vector<Trainings>& alike) {
  SeedVariance pooled;
  for (const Trainings& trainings : alike) {
    const SeedVariance one = seed_variance(trainings);
    pooled.value += one.value / static_cast<double>(alike.size());
    pooled.df += one.df;
  }
  return pooled;
}

Contrast mean_of_trainings(const Trainings& trainings, const SeedVariance& pooled) {
  Contrast contrast = combined({&trainings}, {1}, pooled, 1);
  // That a mean is not 0 is no finding.
  contrast.test.reset();
  contrast.detectable.reset();
  return contrast;
}

Contrast contrast_of_trainings(const std::vector<const Trainings*>& points,
                               const std::vector<double>& coefficients, const SeedVariance& pooled,
                               double least_df) {
  Contrast contrast = combined(points, coefficients, pooled, least_df);
  if (pooled.df > 0) return contrast;
  // Examples alone would tell any two trainings apart.
  contrast.test.reset();
  contrast.detectable.reset();
  contrast.interval.reset();
  contrast.no_test = contrast.no_interval =
      "one training of each shows no spread between trainings";
  return contrast;
}

Best best_of(const std::vector<Trainings>& points, const SeedVariance& pooled, bool higher) {
  TN_CHECK(!points.empty());
  Best best;
  std::vector<double> means;
  for (const Trainings& point : points) means.push_back(mean(means_by_seed(point)));
  for (std::size_t i = 1; i < means.size(); ++i) {
    const bool better = higher ? means[i] > means[best.at] : means[i] < means[best.at];
    if (better) best.at = i;
  }
  // Which pair holds the best is the data's choice, so every pair is tested.
  std::vector<double> p;
  std::vector<std::optional<std::size_t>> with_best(points.size());  // the test of it and the best
  for (std::size_t i = 0; i < points.size(); ++i) {
    for (std::size_t j = i + 1; j < points.size(); ++j) {
      const auto of_pair = contrast_of_trainings({&points[i], &points[j]}, {1, -1}, pooled).p();
      if (of_pair && i == best.at) with_best[j] = p.size();
      if (of_pair && j == best.at) with_best[i] = p.size();
      p.push_back(of_pair.value_or(1));
    }
  }
  p = holm(p);
  for (const std::optional<std::size_t>& test : with_best) {
    best.p.push_back(test ? std::optional(p[*test]) : std::nullopt);
    best.told_apart.push_back(test && p[*test] < kAlpha);
  }
  return best;
}

}  // namespace taskneuron

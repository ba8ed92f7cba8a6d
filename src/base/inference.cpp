#include "taskneuron/base/inference.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "base/variance.h"
#include "taskneuron/base/distributions.h"
#include "taskneuron/base/error.h"
#include "taskneuron/base/statistics.h"

namespace taskneuron {

namespace {

std::vector<double> set_means(const SetScores& task) {
  std::vector<double> means;
  for (const auto& scores : task.random) means.push_back(mean(scores));
  return means;
}

double rounding_of(const std::vector<SetMeans>& tasks) {
  double largest = 0;
  for (const SetMeans& task : tasks) {
    largest = std::max(largest, std::abs(task.own));
    for (const double value : task.random) largest = std::max(largest, std::abs(value));
  }
  return kRounding * largest;
}

// s²·(1 + 1/m) of one task: the own set is one more draw, compared with the mean of m.
Variance prediction_variance(const SetMeans& task, double rounding) {
  const auto m = static_cast<double>(task.random.size());
  const double deviation = standard_deviation(task.random);
  if (!(deviation > rounding)) return {0, m - 1};
  return {deviation * deviation * (1 + 1 / m), m - 1};
}

void test_sets(const std::vector<SetMeans>& tasks, Contrast& contrast) {
  const double rounding = rounding_of(tasks);
  std::vector<Variance> parts;
  for (const SetMeans& task : tasks) {
    if (task.random.size() < 2) {
      contrast.no_test = "one random set shows no spread between sets";
      return;
    }
    parts.push_back(prediction_variance(task, rounding));
  }
  const Variance variance = mean_variance(parts);
  if (!(variance.value > 0)) {
    contrast.no_test = "all random sets score the same";
    return;
  }
  apply_test(variance, contrast);
}

// s²/n of one task's paired differences.
Variance example_variance(const std::vector<double>& differences) {
  double largest = 0;
  for (const double value : differences) largest = std::max(largest, std::abs(value));
  const double error = standard_error(differences),
               df = static_cast<double>(differences.size()) - 1;
  return {error > kRounding * largest ? error * error : 0, df};
}

void find_interval(const std::vector<SetScores>& tasks, Contrast& contrast) {
  std::vector<Variance> parts;
  for (const SetScores& task : tasks) {
    if (task.random.size() < 2) {
      contrast.no_interval = "one random set shows no spread between sets";
      return;
    }
    if (task.own.size() < 2) {
      contrast.no_interval = "one example shows no spread between examples";
      return;
    }
    parts.push_back(crossed_variance(task));
  }
  apply_interval(mean_variance(parts), contrast);
}

}  // namespace

std::optional<double> Contrast::p() const {
  if (sets > 0 && tasks > 1 && randomisation) return randomisation->p;
  if (test) return test->p;
  return {};
}

Contrast own_minus_random(const std::vector<SetScores>& tasks, std::uint64_t seed,
                          std::int64_t draws) {
  TN_CHECK(!tasks.empty());
  Contrast contrast;
  contrast.tasks = static_cast<std::int64_t>(tasks.size());
  std::vector<SetMeans> means;
  for (const SetScores& task : tasks) {
    TN_CHECK(!task.own.empty() && !task.random.empty());
    for (const auto& scores : task.random) TN_CHECK_EQ(scores.size(), task.own.size());
    means.push_back({mean(task.own), set_means(task)});
    contrast.difference +=
        (means.back().own - mean(means.back().random)) / static_cast<double>(tasks.size());
    contrast.examples += static_cast<std::int64_t>(task.own.size());
  }
  contrast.sets = static_cast<std::int64_t>(tasks.front().random.size());
  test_sets(means, contrast);
  contrast.randomisation = exchange_sets(means, rounding_of(means), seed, draws);
  find_interval(tasks, contrast);
  return contrast;
}

Contrast paired_difference(const std::vector<std::vector<double>>& tasks) {
  TN_CHECK(!tasks.empty());
  Contrast contrast;
  contrast.tasks = static_cast<std::int64_t>(tasks.size());
  std::vector<Variance> parts;
  for (const auto& differences : tasks) {
    TN_CHECK(!differences.empty());
    contrast.difference += mean(differences) / static_cast<double>(tasks.size());
    contrast.examples += static_cast<std::int64_t>(differences.size());
    parts.push_back(example_variance(differences));
    if (differences.size() < 2) {
      contrast.no_test = contrast.no_interval = "one example shows no spread between examples";
    }
  }
  if (!contrast.no_test.empty()) return contrast;
  const Variance variance = mean_variance(parts);
  if (variance.value > 0) {
    apply_test(variance, contrast);
  } else {
    contrast.no_test = "all differences are the same";
  }
  apply_interval(variance, contrast);
  return contrast;
}

std::vector<double> mean_over_seeds(const std::vector<std::vector<double>>& scores) {
  TN_CHECK(!scores.empty());
  const auto seeds = static_cast<double>(scores.size());
  std::vector<double> means(scores.front().size(), 0);
  for (const auto& examples : scores) {
    TN_CHECK_EQ(examples.size(), means.size());
    for (std::size_t i = 0; i < means.size(); ++i) means[i] += examples[i] / seeds;
  }
  return means;
}

SetScores over_seeds(const std::vector<std::vector<double>>& own,
                     const std::vector<std::vector<std::vector<double>>>& random) {
  TN_CHECK(!own.empty() && !random.empty());
  const auto seeds = static_cast<double>(own.size());
  SetScores scores;
  scores.own = mean_over_seeds(own);
  for (const auto& by_seed : random) {
    TN_CHECK_EQ(by_seed.size(), own.size());
    scores.random.push_back(mean_over_seeds(by_seed));
  }
  const auto variance_of = [](const std::vector<std::vector<double>>& by_seed) {
    std::vector<double> means;
    for (const auto& examples : by_seed) means.push_back(mean(examples));
    return std::pow(standard_error(means), 2);
  };
  // Training may spread more where it achieves more, but two or three trainings hardly show it: the
  // own set's variance, and not less than that of all sets together.
  const double sets = static_cast<double>(random.size() + 1), of_own = variance_of(own);
  double pooled = of_own / sets;
  for (const auto& by_seed : random) pooled += variance_of(by_seed) / sets;
  scores.seed_variance = std::max(pooled, of_own);
  scores.seed_df = of_own > pooled ? seeds - 1 : sets * (seeds - 1);
  return scores;
}

}  // namespace taskneuron

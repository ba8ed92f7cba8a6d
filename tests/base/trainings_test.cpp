#include "taskneuron/base/trainings.h"

#include <gtest/gtest.h>

#include <cmath>

#include "taskneuron/base/distributions.h"

namespace taskneuron {
namespace {

Trainings one_task(std::vector<std::vector<double>> by_seed) { return {{std::move(by_seed), 1}}; }

// Written out: two trainings of means 2 and 3, examples of means 1.5, 2.5 and 3.5.
TEST(Trainings, MeanHasTheVarianceOfSeedsAndExamples) {
  const Trainings trainings = one_task({{1, 2, 3}, {2, 3, 4}});
  const SeedVariance pooled = pooled_seed_variance({trainings});
  EXPECT_DOUBLE_EQ(pooled.value, 0.25);  // s² = .5 over two
  EXPECT_DOUBLE_EQ(pooled.df, 1);
  const Contrast mean = mean_of_trainings(trainings, pooled);
  EXPECT_DOUBLE_EQ(mean.difference, 2.5);
  EXPECT_EQ(mean.examples, 3);
  EXPECT_FALSE(mean.test);
  // Examples add s²/n = 1/3; there is no interaction.
  const double variance = 0.25 + 1.0 / 3, df = variance * variance / (0.0625 / 1 + 1.0 / 9 / 2);
  const double reach = student_t_quantile(0.975, df) * std::sqrt(variance);
  ASSERT_TRUE(mean.interval);
  EXPECT_NEAR(mean.interval->low, 2.5 - reach, 1e-12);
  EXPECT_NEAR(mean.interval->high, 2.5 + reach, 1e-12);
}

TEST(Trainings, SharesWeighTasks) {
  const Trainings trainings = {{{{1, 1}, {3, 3}}, 0.25}, {{{0, 2}, {4, 6}}, 0.75}};
  EXPECT_DOUBLE_EQ(mean_of_trainings(trainings, pooled_seed_variance({trainings})).difference,
                   0.25 * 2 + 0.75 * 3);
  // Means by seed: 1 and 4.5.
  EXPECT_DOUBLE_EQ(pooled_seed_variance({trainings}).value, 3.5 * 3.5 / 4);
}

TEST(Trainings, OneTrainingTellsOfExamplesAlone) {
  const Trainings a = one_task({{1, 2, 3, 4}}), b = one_task({{2, 3, 5, 9}});
  const SeedVariance pooled = pooled_seed_variance({a, b});
  EXPECT_EQ(pooled.df, 0);
  EXPECT_TRUE(mean_of_trainings(a, pooled).interval);
  const Contrast difference = contrast_of_trainings({&a, &b}, {1, -1}, pooled);
  EXPECT_DOUBLE_EQ(difference.difference, -2.25);
  EXPECT_FALSE(difference.test);
  EXPECT_FALSE(difference.interval);
  EXPECT_EQ(difference.no_test, "one training of each shows no spread between trainings");
  const Best best = best_of({a, b}, pooled, true);
  EXPECT_EQ(best.told_apart, (std::vector<bool>{false, false}));
  EXPECT_FALSE(best.p[0]);  // no test, no p
}

TEST(Trainings, DifferencesArePairedByExample) {
  // Hard and easy examples, one always better by .1: only trainings differ.
  const Trainings a = one_task({{0.1, 5.1, 9.1}, {0.3, 5.3, 9.3}}),
                  b = one_task({{0, 5, 9}, {0.2, 5.2, 9.2}});
  const SeedVariance pooled = pooled_seed_variance({a, b});
  const Contrast difference = contrast_of_trainings({&a, &b}, {1, -1}, pooled);
  EXPECT_NEAR(difference.difference, 0.1, 1e-12);
  ASSERT_TRUE(difference.test);
  EXPECT_NEAR(difference.test->t, 0.1 / std::sqrt(2 * 0.01), 1e-9);
  EXPECT_NEAR(difference.test->df, 2, 1e-9);
}

TEST(Trainings, ConstantScoresHaveNoInterval) {
  const Trainings same = one_task({{1, 1}, {1, 1}});
  const Contrast mean = mean_of_trainings(same, pooled_seed_variance({same}));
  EXPECT_FALSE(mean.interval);
  EXPECT_EQ(mean.no_interval, "all differences are the same");
}

TEST(Trainings, TheBestIsToldFromWhatIsFarBelow) {
  const auto around = [](double center) {
    return one_task({{center, center + 0.02, center + 0.01},
                     {center + 0.01, center + 0.03, center},
                     {center - 0.01, center + 0.01, center + 0.02}});
  };
  const std::vector<Trainings> points = {around(0.2), around(0.9), around(0.905)};
  const SeedVariance pooled = pooled_seed_variance(points);
  const Best best = best_of(points, pooled, true);
  EXPECT_EQ(best.at, 2U);
  EXPECT_EQ(best.told_apart, (std::vector<bool>{true, false, false}));
  ASSERT_TRUE(best.p[0] && best.p[1]);
  EXPECT_LT(*best.p[0], 0.05);
  EXPECT_GT(*best.p[1], 0.05);
  EXPECT_FALSE(best.p[2]);
  EXPECT_EQ(best_of(points, pooled, false).at, 0U);
}

}  // namespace
}  // namespace taskneuron

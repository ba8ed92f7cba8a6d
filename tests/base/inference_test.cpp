#include "taskneuron/base/inference.h"

#include <cmath>

#include "base/file.h"
#include "base/json.h"
#include "support/support.h"
#include "taskneuron/base/distributions.h"

namespace taskneuron {
namespace {

// Made by SciPy: tests/goldens/make_statistics.py.
const nlohmann::json& scipy() {
  static const auto json =
      nlohmann::json::parse(read_file(test::fixtures() / "statistics" / "scipy.json"));
  return json;
}

void expect_close(double found, double expected, double tolerance = 1e-9) {
  EXPECT_TRUE(std::abs(found - expected) <= tolerance * std::max(std::abs(expected), 1e-300))
      << found << " instead of " << expected;
}

TEST(Distributions, AgreeWithSciPy) {
  const auto& golden = scipy()["distributions"];
  for (const auto& row : golden["t"]) {
    expect_close(student_t_cdf(row["t"], row["df"]), row["cdf"]);
    expect_close(student_t_two_sided(row["t"], row["df"]), row["two_sided"]);
  }
  for (const auto& row : golden["quantile"]) {
    expect_close(student_t_quantile(row["p"], row["df"]), row["t"]);
  }
  for (const auto& row : golden["power"]) {
    expect_close(t_test_power(row["effect"], row["df"], kAlpha), row["power"], 1e-6);
  }
  for (const auto& row : golden["detectable"]) {
    expect_close(detectable_effect(row["df"], kAlpha, kPower), row["effect"], 1e-6);
  }
}

std::vector<SetScores> set_scores(const nlohmann::json& tasks) {
  std::vector<SetScores> result;
  for (const auto& task : tasks) {
    result.push_back({task["own"].get<std::vector<double>>(),
                      task["random"].get<std::vector<std::vector<double>>>()});
  }
  return result;
}

TEST(OwnMinusRandom, AgreesWithSciPy) {
  for (const auto& golden : scipy()["own_against_random"]) {
    const Contrast contrast = own_minus_random(set_scores(golden["tasks"]), 1);
    const auto& expected = golden["expected"];
    expect_close(contrast.difference, expected["difference"]);
    ASSERT_TRUE(contrast.test && contrast.interval);
    expect_close(contrast.test->t, expected["t"]);
    expect_close(contrast.test->df, expected["df"]);
    expect_close(contrast.test->p, expected["p"]);
    expect_close(contrast.interval->low, expected["low"]);
    expect_close(contrast.interval->high, expected["high"]);
    if (expected.contains("p_randomisation")) {
      EXPECT_NEAR(contrast.randomisation->p.value(), expected["p_randomisation"], 1e-12);
    }
  }
}

TEST(PairedDifference, AgreesWithSciPy) {
  for (const auto& golden : scipy()["paired"]) {
    const Contrast contrast = paired_difference({golden["differences"]});
    ASSERT_TRUE(contrast.test && contrast.interval);
    expect_close(contrast.test->t, golden["expected"]["t"]);
    expect_close(contrast.test->p, golden["expected"]["p"]);
    expect_close(contrast.interval->low, golden["expected"]["low"]);
    expect_close(contrast.interval->high, golden["expected"]["high"]);
    EXPECT_EQ(contrast.p(), contrast.test->p);
  }
}

TEST(BenjaminiHochberg, AgreesWithSciPy) {
  for (const auto& golden : scipy()["families"]) {
    const std::vector<double> adjusted = benjamini_hochberg(golden["p"]);
    for (std::size_t i = 0; i < adjusted.size(); ++i)
      expect_close(adjusted[i], golden["adjusted"][i]);
  }
}

// m sets of n examples; set k scores k / 100 more than the first.
SetScores graded(double own, std::size_t sets, std::size_t examples) {
  SetScores scores;
  for (std::size_t e = 0; e < examples; ++e) scores.own.push_back(own + 0.1 * (e % 3));
  for (std::size_t k = 0; k < sets; ++k) {
    auto& row = scores.random.emplace_back();
    for (std::size_t e = 0; e < examples; ++e) row.push_back(0.01 * k + 0.1 * ((e + k) % 3));
  }
  return scores;
}

TEST(OwnMinusRandom, RandomisationIsTwoSidedAndStatesItsFloor) {
  for (const double own : {1.0, -1.0}) {
    const Contrast outside = own_minus_random({graded(own, 19, 30)}, 1);
    EXPECT_NEAR(outside.randomisation->p.value(), 0.05, 1e-12);
    EXPECT_NEAR(outside.randomisation->smallest_p, 0.05, 1e-12);
    EXPECT_TRUE(outside.randomisation->exact);
    EXPECT_EQ(outside.randomisation->orders, 20);
  }
  const Contrast inside = own_minus_random({graded(0.09, 19, 30)}, 1);
  EXPECT_GT(inside.randomisation->p.value(), 0.9);
  EXPECT_GT(inside.test->p, 0.9);
}

TEST(OwnMinusRandom, TiesCountAsAtLeastAsExtreme) {
  // Sums of tenths in another order differ in their last digits.
  SetScores scores;
  scores.own = {0.1, 0.2, 0.3};
  scores.random = {{0.3, 0.2, 0.1}, {0.2, 0.3, 0.1}, {0.0, 0.0, 0.0}, {0.4, 0.4, 0.4}};
  // Distances from the mean of all: 0 for the first three.
  EXPECT_EQ(own_minus_random({scores}, 1).randomisation->p, 1);
}

TEST(OwnMinusRandom, TasksAreExchangedOnTheirOwn) {
  const std::vector<SetScores> two = {graded(1, 19, 30), graded(1, 19, 30)};
  const Contrast exact = own_minus_random(two, 1);
  EXPECT_TRUE(exact.randomisation->exact);
  EXPECT_EQ(exact.randomisation->orders, 400);
  EXPECT_NEAR(exact.randomisation->p.value(), 1.0 / 400, 1e-12);
  EXPECT_EQ(exact.p(), exact.randomisation->p);
  std::vector<SetScores> twelve(12, graded(0.6, 19, 30));
  const Contrast drawn = own_minus_random(twelve, 1);
  EXPECT_FALSE(drawn.randomisation->exact);
  EXPECT_NEAR(drawn.randomisation->p.value(), 1.0 / (kDraws + 1), 1e-12);
  EXPECT_EQ(own_minus_random(twelve, 1).randomisation->p, drawn.randomisation->p);
  EXPECT_NEAR(drawn.difference, own_minus_random({twelve[0]}, 1).difference, 1e-12);
}

TEST(OwnMinusRandom, OneSetShowsNoSpread) {
  const Contrast contrast = own_minus_random({graded(1, 1, 30)}, 1);
  EXPECT_FALSE(contrast.test || contrast.interval || contrast.detectable);
  EXPECT_NE(contrast.no_interval.find("one random set"), std::string::npos);
  EXPECT_FALSE(contrast.randomisation->p.has_value());  // could not be below 1/2
  EXPECT_FALSE(contrast.p().has_value());
  EXPECT_EQ(judge(contrast, Claim::kHigher), Verdict::kUndetermined);
}

TEST(OwnMinusRandom, OneExampleHasATestButNoInterval) {
  const Contrast contrast = own_minus_random({graded(1, 19, 1)}, 1);
  EXPECT_TRUE(contrast.test.has_value());
  EXPECT_FALSE(contrast.interval.has_value());
  EXPECT_NE(contrast.no_interval.find("one example"), std::string::npos);
}

TEST(OwnMinusRandom, NoDifferenceIsNoEvidence) {
  SetScores scores;
  scores.own = {0.1, 0.7, 0.1};
  scores.random.assign(19, scores.own);
  const Contrast contrast = own_minus_random({scores}, 1);
  EXPECT_NEAR(contrast.difference, 0, 1e-15);
  EXPECT_FALSE(contrast.test || contrast.interval);
  EXPECT_EQ(contrast.randomisation->p, 1);
  EXPECT_EQ(judge(contrast, Claim::kLower), Verdict::kUndetermined);
  const Contrast paired = paired_difference({{0, 0, 0}});
  EXPECT_FALSE(paired.test || paired.interval || paired.p());
  EXPECT_FALSE(paired_difference({{0.1, 0.1, 0.1}}).test);  // whatever the mean's last digit
  EXPECT_FALSE(paired_difference({{0.3}}).interval);
}

TEST(OwnMinusRandom, SpreadBetweenSetsCounts) {
  // Examples hardly differ, sets do: nothing that 500 examples say about five sets makes the own
  // one more than a sixth.
  SetScores scores;
  for (std::size_t e = 0; e < 500; ++e) scores.own.push_back(0.8 + 1e-4 * (e % 2));
  for (const double level : {0.2, 0.9, 0.4, 0.7, 0.5}) {
    scores.random.emplace_back();
    for (std::size_t e = 0; e < 500; ++e) scores.random.back().push_back(level + 1e-4 * (e % 2));
  }
  const Contrast contrast = own_minus_random({scores}, 1);
  EXPECT_GT(contrast.test->p, 0.3);
  EXPECT_LT(contrast.interval->low, 0);
  EXPECT_GT(contrast.detectable.value(), 0.5);
}

TEST(OverSeeds, AveragesAndKeepsTheSpreadOfTrainings) {
  const SetScores scores = over_seeds({{1, 3}, {3, 5}}, {{{0, 0}, {0, 2}}, {{1, 1}, {1, 1}}});
  EXPECT_EQ(scores.own, (std::vector<double>{2, 4}));
  EXPECT_EQ(scores.random[0], (std::vector<double>{0, 1}));
  // The own set's means by seed are 2 and 4: variance 2, of their mean 1; the others' 1/4 and 0.
  EXPECT_EQ(scores.seed_df, 1);
  EXPECT_NEAR(scores.seed_variance, 1, 1e-12);
  // Where the own set's trainings agree by luck, all sets' pooled variance stands in.
  const SetScores lucky = over_seeds({{1, 3}, {1, 3}}, {{{0, 0}, {0, 2}}, {{1, 1}, {1, 1}}});
  EXPECT_EQ(lucky.seed_df, 3);
  EXPECT_NEAR(lucky.seed_variance, 0.25 / 3, 1e-12);
  const Contrast with = own_minus_random({scores}, 1);
  SetScores without = scores;
  without.seed_variance = 0;
  EXPECT_EQ(with.test->p, own_minus_random({without}, 1).test->p);
  EXPECT_NE(with.interval->high, own_minus_random({without}, 1).interval->high);
}

Contrast judged(double difference, double p, double low, double high) {
  Contrast contrast;
  contrast.difference = difference;
  contrast.tasks = 1;
  contrast.test = TTest{0, 18, p};
  contrast.interval = Interval{low, high};
  return contrast;
}

TEST(Verdicts, UndeterminedStandsBetweenAgreesAndDoesNot) {
  EXPECT_EQ(judge(judged(-0.1, 0.01, -0.2, -0.05), Claim::kLower), Verdict::kAgrees);
  EXPECT_EQ(judge(judged(-0.1, 0.01, -0.2, -0.05), Claim::kHigher), Verdict::kDoesNot);
  EXPECT_EQ(judge(judged(-0.1, 0.2, -0.3, 0.1), Claim::kLower), Verdict::kUndetermined);
  // Unusual among sets on these examples, which are too few to speak of others.
  EXPECT_EQ(judge(judged(-0.1, 0.01, -0.3, 0.1), Claim::kLower), Verdict::kUndetermined);
  EXPECT_EQ(judge(judged(0.001, 0.8, -0.004, 0.006), Claim::kLower, 0.01), Verdict::kDoesNot);
  EXPECT_EQ(judge(judged(0.001, 0.8, -0.004, 0.006), Claim::kLower), Verdict::kUndetermined);
  Contrast corrected = judged(-0.1, 0.03, -0.2, 0.05);
  corrected.p_adjusted = 0.12;
  EXPECT_EQ(judge(corrected, Claim::kLower), Verdict::kUndetermined);
}

TEST(Families, ContrastsWithoutAPAreNoPart) {
  Contrast a = judged(-0.1, 0.03, -0.2, 0), b = judged(-0.1, 0.04, -0.2, 0), none;
  adjust({&a, &none, &b});
  EXPECT_NEAR(a.p_adjusted.value(), 0.04, 1e-12);
  EXPECT_NEAR(b.p_adjusted.value(), 0.04, 1e-12);
  EXPECT_FALSE(none.p_adjusted.has_value());
}

// R: p.adjust(c(.01, .04, .03, .005), "holm")
TEST(Holm, AgreesWithR) {
  const std::vector<double> adjusted = holm({0.01, 0.04, 0.03, 0.005}),
                            expected = {0.03, 0.06, 0.06, 0.02};
  ASSERT_EQ(adjusted.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(adjusted[i], expected[i], 1e-12);
}

}  // namespace
}  // namespace taskneuron

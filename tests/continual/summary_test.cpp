#include "taskneuron/continual/summary.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "taskneuron/base/distributions.h"

namespace taskneuron {
namespace {

ScoredStream stream(const std::string& method, const std::string& order, std::uint64_t seed,
                    std::optional<double> cl) {
  ScoredStream one{method, order, seed, {}};
  one.metrics.cl = cl;
  return one;
}

// What `a` has above `b`, by [seed][order]; b scores are far apart, so that only pairs agree.
std::vector<ScoredStream> streams_of(const std::vector<std::vector<double>>& differences) {
  std::vector<ScoredStream> streams;
  for (std::size_t s = 0; s < differences.size(); ++s) {
    for (std::size_t o = 0; o < differences[s].size(); ++o) {
      const std::uint64_t seed = s;
      const std::string order = "order" + std::to_string(o + 1);
      const double b = 0.25 * static_cast<double>(o) + 0.125 * static_cast<double>(s);
      streams.push_back(stream("a", order, seed, b + differences[s][o]));
      streams.push_back(stream("b", order, seed, b));
    }
  }
  return streams;
}

const StreamComparison& only(const StreamSummary& summary) {
  EXPECT_EQ(summary.comparisons.size(), 1u);
  return summary.comparisons.at(0);
}

void expect_interval(const Contrast& contrast, double center, double variance, double df) {
  const double reach = student_t_quantile(0.975, df) * std::sqrt(variance);
  EXPECT_NEAR(contrast.difference, center, 1e-12);
  ASSERT_TRUE(contrast.interval);
  EXPECT_NEAR(contrast.interval->low, center - reach, 1e-9);
  EXPECT_NEAR(contrast.interval->high, center + reach, 1e-9);
  ASSERT_TRUE(contrast.test);
  EXPECT_NEAR(contrast.test->t, center / std::sqrt(variance), 1e-9);
  EXPECT_NEAR(contrast.test->df, df, 1e-9);
}

// Differences in hundredths, by seed: (1, 2, 6) and (3, 6, 6); mean 4.
// Means of seeds 3 and 5: s² = 2, V_S = 2/2 = 1, df 1.
// Means of orders 2, 4 and 6: s² = 4, V_E = 4/3, df 2.
// Residuals (0, -1, 1) and (0, 1, -1): MS_R = 4/2 = 2, V_R = 2/6 = 1/3, df 2.
// Var = 1 + 4/3 - 1/3 = 2; df = 4 / (1/1 + (16/9)/2 + (1/9)/2) = 72/35.
TEST(StreamSummary, IntervalIsOverOrdersAndSeeds) {
  const StreamSummary summary =
      stream_summary(streams_of({{0.01, 0.02, 0.06}, {0.03, 0.06, 0.06}}));
  const StreamComparison& found = only(summary);
  EXPECT_EQ(found.a, "a");
  EXPECT_EQ(found.b, "b");
  EXPECT_EQ(found.key, "cl");
  EXPECT_EQ(found.spread, StreamSpread::kOrdersAndSeeds);
  EXPECT_EQ(found.orders, 3);
  EXPECT_EQ(found.seeds, 2);
  EXPECT_EQ(found.left_out, 0);
  expect_interval(found.contrast, 0.04, 2e-4, 72.0 / 35);
}

// (1, 2, 6) in hundredths: mean 3, s² = 7, variance of the mean 7/3, df 2.
TEST(StreamSummary, OfOneSeedIsOverOrders) {
  const StreamSummary summary = stream_summary(streams_of({{0.01, 0.02, 0.06}}));
  EXPECT_EQ(only(summary).spread, StreamSpread::kOrders);
  expect_interval(only(summary).contrast, 0.03, 7e-4 / 3, 2);
}

TEST(StreamSummary, OfOneOrderIsOverSeeds) {
  const StreamSummary summary = stream_summary(streams_of({{0.01}, {0.02}, {0.06}}));
  EXPECT_EQ(only(summary).spread, StreamSpread::kSeeds);
  EXPECT_EQ(only(summary).seeds, 3);
  expect_interval(only(summary).contrast, 0.03, 7e-4 / 3, 2);
}

// The same sizes of difference, all far above their spread: over seeds they are a verdict, over
// orders of one seed they are none.
TEST(StreamSummary, OneSeedIsNoVerdict) {
  const std::vector<std::vector<double>> over_orders = {{0.30, 0.31, 0.32}};
  const std::vector<std::vector<double>> over_seeds = {{0.30}, {0.31}, {0.32}};
  EXPECT_EQ(judge(only(stream_summary(streams_of(over_orders)))), Verdict::kUndetermined);
  EXPECT_EQ(judge(only(stream_summary(streams_of(over_seeds)))), Verdict::kAgrees);
  EXPECT_EQ(judge(only(stream_summary(streams_of({{-0.30}, {-0.31}, {-0.32}})))),
            Verdict::kDoesNot);
}

TEST(StreamSummary, OfOnePairHasNoInterval) {
  const StreamSummary summary = stream_summary(streams_of({{0.01}}));
  const StreamComparison& found = only(summary);
  EXPECT_NEAR(found.contrast.difference, 0.01, 1e-12);
  EXPECT_FALSE(found.contrast.interval || found.contrast.test);
  EXPECT_EQ(found.contrast.no_interval,
            "one pair of streams shows no spread between orders or seeds");
  EXPECT_EQ(found.spread, StreamSpread::kNone);
}

// Three orders from two seeds, and a fourth from one: two seeds of three orders are six streams
// each, one seed of four orders four. A stream that diverged takes its order away.
TEST(StreamSummary, OfATableWithGapsTakesTheLargerCompleteOne) {
  std::vector<ScoredStream> streams = streams_of({{0.01, 0.02, 0.06}, {0.03, 0.06, 0.06}});
  streams.push_back(stream("a", "order4", 0, 0.9));
  streams.push_back(stream("b", "order4", 0, 0.1));
  StreamSummary summary = stream_summary(streams);
  EXPECT_EQ(only(summary).orders, 3);
  EXPECT_EQ(only(summary).left_out, 2);
  expect_interval(only(summary).contrast, 0.04, 2e-4, 72.0 / 35);
  streams[0].metrics.cl.reset();  // a on order1 from seed 0
  summary = stream_summary(streams);
  EXPECT_EQ(only(summary).orders, 2);  // order2 and order3
  EXPECT_EQ(only(summary).seeds, 2);
  EXPECT_EQ(only(summary).left_out, 6);
  EXPECT_NEAR(only(summary).contrast.difference, 0.05, 1e-12);
}

// Of three orders and seeds two streams are missing, in different orders and seeds: without that
// order and that seed there are 2 × 2 left, without both orders or both seeds 3.
TEST(StreamSummary, OfATableWithScatteredGapsTakesTheLargestPart) {
  std::vector<ScoredStream> streams =
      streams_of({{0.01, 0.02, 0.06}, {0.03, 0.06, 0.06}, {0.02, 0.02, 0.04}});
  const auto missing = [](const ScoredStream& one) {
    return (one.order == "order1" && one.seed == 0) || (one.order == "order2" && one.seed == 1);
  };
  streams.erase(std::remove_if(streams.begin(), streams.end(), missing), streams.end());
  const StreamSummary summary = stream_summary(streams);
  EXPECT_EQ(only(summary).orders, 2);
  EXPECT_EQ(only(summary).seeds, 2);
  EXPECT_EQ(only(summary).left_out, 6);
  EXPECT_EQ(only(summary).spread, StreamSpread::kOrdersAndSeeds);
}

// Methods of one seed, which are never found better, do not make others easier to find.
TEST(StreamSummary, WhatHasOneSeedIsNoPartOfTheCorrection) {
  std::vector<ScoredStream> streams = streams_of({{0.01, 0.02, 0.06}, {0.03, 0.06, 0.06}});
  const double before = only(stream_summary(streams)).contrast.p_adjusted.value();
  for (const char* name : {"c", "d", "e"}) {
    for (const char* order : {"order1", "order2", "order3"}) {
      streams.push_back(stream(name, order, 0, 5 + 0.001 * static_cast<double>(streams.size())));
    }
  }
  const StreamSummary summary = stream_summary(streams);
  EXPECT_GT(summary.comparisons.size(), 5u);
  for (const StreamComparison& one : summary.comparisons) {
    const bool pair = one.a == "a" && one.b == "b";
    EXPECT_EQ(one.contrast.p_adjusted.has_value(), pair);
    if (pair) {
      EXPECT_EQ(one.contrast.p_adjusted.value(), before);
    }
  }
}

TEST(StreamSummary, MeansAreOverTheSeedsOfAnOrder) {
  std::vector<ScoredStream> streams = {stream("a", "x", 0, 0.2), stream("a", "x", 1, 0.4),
                                       stream("a", "y", 0, 0.5), stream("a", "y", 1, std::nullopt)};
  streams[2].metrics.fg = {std::nullopt, 0.9, 0.7};
  const StreamSummary summary = stream_summary(streams);
  EXPECT_TRUE(summary.comparisons.empty());
  ASSERT_EQ(summary.means.size(), 3u);
  EXPECT_EQ(summary.means[0].order, "x");
  EXPECT_NEAR(summary.means[0].mean, 0.3, 1e-12);
  EXPECT_NEAR(summary.means[0].sd.value(), std::sqrt(0.02), 1e-12);
  EXPECT_EQ(summary.means[1].seeds, 1);
  EXPECT_FALSE(summary.means[1].sd.has_value());
  EXPECT_EQ(summary.means[2].key, "fg");  // of the last stage
  EXPECT_NEAR(summary.means[2].mean, 0.7, 1e-12);
}

// p of three pairs of methods, corrected together: the least of n is at least n times smaller.
TEST(StreamSummary, CorrectsOverThePairsOfAMetric) {
  std::vector<ScoredStream> streams = streams_of({{0.01, 0.02, 0.06}, {0.03, 0.06, 0.06}});
  for (std::size_t i = 0, n = streams.size(); i < n; i += 2) {
    streams.push_back(streams[i]);
    streams.back().method = "c";
    *streams.back().metrics.cl += i % 4 == 0 ? 0.2 : 0.21;
  }
  const StreamSummary summary = stream_summary(streams);
  ASSERT_EQ(summary.comparisons.size(), 3u);
  std::vector<double> p;
  for (const StreamComparison& one : summary.comparisons) p.push_back(one.contrast.p().value());
  const std::vector<double> expected = benjamini_hochberg(p);
  for (std::size_t i = 0; i < p.size(); ++i) {
    EXPECT_EQ(summary.comparisons[i].contrast.p_adjusted, expected[i]);
  }
}

TEST(StreamMetric, KnowsEveryKeyThatIsPrinted) {
  StreamMetrics metrics;
  metrics.cl = 1;
  metrics.fg = {std::nullopt, 2.0};
  metrics.fg_diagonal = {std::nullopt, 3.0};
  metrics.bwt = 4;
  metrics.fwt = 5;
  metrics.forgetting = 6;
  std::vector<double> values;
  for (const StreamFormula& formula : stream_formulas()) {
    values.push_back(stream_metric(metrics, formula.key).value());
  }
  EXPECT_EQ(values, (std::vector<double>{1, 2, 3, 4, 5, 6}));
}

}  // namespace
}  // namespace taskneuron

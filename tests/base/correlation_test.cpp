#include "taskneuron/base/correlation.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/file.h"
#include "base/json.h"
#include "support/support.h"
#include "taskneuron/base/random.h"
#include "taskneuron/base/statistics.h"

namespace taskneuron {
namespace {

using Values = std::vector<double>;

constexpr CorrelationKind kBoth[] = {CorrelationKind::kPearson, CorrelationKind::kSpearman};

void expect_close(double found, double expected) {
  EXPECT_TRUE(std::abs(found - expected) <= 1e-9 * std::max(std::abs(expected), 1e-3))
      << found << " instead of " << expected;
}

// Made by SciPy: tests/goldens/make_correlation.py.
TEST(Correlation, AgreesWithSciPy) {
  const Json golden = Json::parse(read_file(test::fixtures() / "statistics" / "correlation.json"));
  for (const auto& row : golden["cases"]) {
    for (const CorrelationKind kind : kBoth) {
      const Correlation found = correlate(kind, row["x"], row["y"]);
      const auto& expected = row["expected"];
      const std::string name = correlation_name(kind);
      ASSERT_TRUE(found.value && found.interval && found.permutation);
      expect_close(*found.value, expected[name]);
      expect_close(found.interval->low, expected[name + "_interval"][0]);
      expect_close(found.interval->high, expected[name + "_interval"][1]);
      if (!expected.contains(name + "_p")) continue;
      EXPECT_TRUE(found.permutation->exact);
      expect_close(found.p().value(), expected[name + "_p"]);
      expect_close(found.permutation->smallest_p, expected[name + "_smallest_p"]);
    }
  }
}

Values drawn(Random& random, std::size_t points, bool ties) {
  Values values(points);
  for (double& value : values) {
    value = ties ? static_cast<double>(random.below(4)) : random.uniform();
  }
  return values;
}

// The share of orders of y with a correlation as far from 0, written down once more.
double enumerated_p(Values x, Values y, CorrelationKind kind) {
  if (kind == CorrelationKind::kSpearman) {
    x = ranks(x);
    y = ranks(y);
  }
  const double observed = std::abs(pearson(x, y));
  std::vector<std::size_t> order(x.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  double reached = 0, all = 0;
  do {
    Values permuted;
    for (const std::size_t place : order) permuted.push_back(y[place]);
    reached += std::abs(pearson(x, permuted)) >= observed - 1e-9 ? 1 : 0;
    ++all;
  } while (std::next_permutation(order.begin(), order.end()));
  return reached / all;
}

bool is_constant(const Values& values) {
  return std::all_of(values.begin(), values.end(),
                     [&](double value) { return value == values.front(); });
}

TEST(Correlation, PIsThatOfAllOrdersInAThousandSmallCases) {
  Random random(7, "cases");
  for (int i = 0; i < 1000; ++i) {
    const std::size_t points = 3 + random.below(4);
    const bool ties = random.below(2) == 1;
    const Values x = drawn(random, points, ties), y = drawn(random, points, ties);
    for (const CorrelationKind kind : kBoth) {
      const Correlation found = correlate(kind, x, y);
      EXPECT_EQ(found.value.has_value(), !is_constant(x) && !is_constant(y));
      if (!found.value) continue;
      const double expected = enumerated_p(x, y, kind);
      if (found.permutation->smallest_p < 0.5) {
        EXPECT_NEAR(found.p().value(), expected, 1e-12);
        EXPECT_GE(found.p().value(), found.permutation->smallest_p - 1e-12);
      } else {
        EXPECT_FALSE(found.p());
      }
    }
  }
}

struct Rejections {
  double at_01 = 0, at_05 = 0, at_10 = 0;
};

// How often p <= α where x and y have nothing to do with each other.
Rejections rejections(CorrelationKind kind, std::size_t points, bool ties, std::int64_t repeats,
                      const PermutationOptions& options = {}) {
  Random random(points, ties ? "tied" : "untied");
  Rejections share;
  const double one = 1 / static_cast<double>(repeats);
  for (std::int64_t i = 0; i < repeats; ++i) {
    PermutationOptions drawn_by = options;
    drawn_by.seed = static_cast<std::uint64_t>(i);
    const Correlation found =
        correlate(kind, drawn(random, points, ties), drawn(random, points, ties), drawn_by);
    const double p = found.p().value_or(1);
    share.at_01 += p <= 0.01 ? one : 0;
    share.at_05 += p <= 0.05 ? one : 0;
    share.at_10 += p <= 0.1 ? one : 0;
  }
  return share;
}

void expect_at_most_nominal(const Rejections& share) {
  // Three standard errors of a simulation of 4,000 runs.
  EXPECT_LE(share.at_01, 0.01 + 0.0048);
  EXPECT_LE(share.at_05, 0.05 + 0.0104);
  EXPECT_LE(share.at_10, 0.1 + 0.0143);
}

void expect_nominal(const Rejections& share) {
  expect_at_most_nominal(share);
  EXPECT_GE(share.at_01, 0.0);
  EXPECT_GE(share.at_05, 0.04);
  EXPECT_GE(share.at_10, 0.09);
}

TEST(Correlation, RejectsAsOftenAsItSaysWhereNothingIsThere) {
  for (const CorrelationKind kind : kBoth) {
    for (const std::size_t points : {5, 6, 7}) {
      const Rejections share = rejections(kind, points, false, 4000);
      // Ranks of few points reach few values of p.
      kind == CorrelationKind::kPearson ? expect_nominal(share) : expect_at_most_nominal(share);
    }
    for (const std::size_t points : {4, 6}) {
      expect_at_most_nominal(rejections(kind, points, true, 4000));
    }
    PermutationOptions few;
    few.all_orders = 24;
    few.draws = 199;
    expect_nominal(rejections(kind, 15, false, 4000, few));
    expect_at_most_nominal(rejections(kind, 8, true, 4000, few));
  }
}

TEST(Correlation, SaysWhatIsUndefinedInsteadOfNaN) {
  const Correlation two = correlate(CorrelationKind::kPearson, {1, 2}, {1, 2});
  EXPECT_FALSE(two.value || two.interval || two.p());
  EXPECT_EQ(two.no_value, "2 points, at least 3 are needed");
  for (const CorrelationKind kind : kBoth) {
    const Correlation flat = correlate(kind, {1, 2, 3, 4}, {0.1, 0.1, 0.1, 0.1});
    EXPECT_FALSE(flat.value || flat.interval || flat.p());
    EXPECT_EQ(flat.no_value, "y is constant");
    EXPECT_EQ(flat.no_interval, flat.no_value);
    EXPECT_EQ(correlate(kind, {7, 7, 7}, {1, 2, 3}).no_value, "x is constant");
    EXPECT_EQ(correlate(kind, {7, 7, 7}, {0, 0, 0}).no_value, "both sides are constant");
  }
  const Correlation three = correlate(CorrelationKind::kPearson, {1, 2, 4}, {2, 1, 4});
  EXPECT_TRUE(three.value && three.p());
  EXPECT_EQ(three.no_interval, "3 points, at least 4 are needed");
  EXPECT_NEAR(three.permutation->smallest_p, 1.0 / 6, 1e-12);
  const Correlation line = correlate(CorrelationKind::kSpearman, {1, 2, 4, 9}, {1, 3, 5, 6});
  EXPECT_NEAR(*line.value, 1, 1e-12);
  EXPECT_FALSE(line.interval);
  EXPECT_NEAR(line.p().value(), 2.0 / 24, 1e-12);
}

TEST(Correlation, LargeNumbersDoNotOverflow) {
  const Correlation found = correlate(CorrelationKind::kPearson, {1e300, 2e300, 4e300}, {1, 2, 4});
  EXPECT_NEAR(found.value.value(), 1, 1e-12);
}

TEST(Correlation, MoreOrdersThanAreTriedAreDrawn) {
  Values x(12), y(12);
  std::iota(x.begin(), x.end(), 0.0);
  y = x;
  const Correlation found = correlate(CorrelationKind::kPearson, x, y);
  EXPECT_FALSE(found.permutation->exact);
  EXPECT_EQ(found.permutation->orders, kDraws);
  EXPECT_NEAR(found.p().value(), 1.0 / (kDraws + 1), 1e-12);
  EXPECT_NEAR(found.permutation->smallest_p, 1.0 / (kDraws + 1), 1e-12);
}

TEST(Correlation, IsCorrectedInItsFamily) {
  Correlation strong = correlate(CorrelationKind::kPearson, {1, 2, 3, 4, 5}, {1, 2, 3, 4, 6});
  Correlation none = correlate(CorrelationKind::kPearson, {1, 2, 3}, {5, 5, 5});
  Correlation weak = correlate(CorrelationKind::kPearson, {1, 2, 3, 4, 5}, {2, 1, 2, 5, 1});
  adjust({&strong, &none, &weak});
  EXPECT_NEAR(strong.p_adjusted.value(), std::min(2 * *strong.p(), *weak.p()), 1e-12);
  EXPECT_FALSE(none.p_adjusted);
}

// Standard normal by Box & Muller.
double normal(Random& random) {
  return std::sqrt(-2 * std::log(1 - random.uniform())) *
         std::cos(2 * 3.141592653589793 * random.uniform());
}

TEST(Correlation, IntervalsCoverWhatTheySay) {
  Random random(3, "coverage");
  PermutationOptions quick;
  quick.all_orders = 0;
  quick.draws = 1;
  for (const std::size_t points : {6, 12}) {
    for (const double truth : {0.0, 0.6}) {
      const double of_ranks = 6 / 3.141592653589793 * std::asin(truth / 2);
      double covered[] = {0, 0}, all[] = {0, 0};
      for (int i = 0; i < 4000; ++i) {
        Values x, y;
        for (std::size_t point = 0; point < points; ++point) {
          x.push_back(normal(random));
          y.push_back(truth * x.back() + std::sqrt(1 - truth * truth) * normal(random));
        }
        for (int k = 0; k < 2; ++k) {
          const Correlation found = correlate(kBoth[k], x, y, quick);
          if (!found.interval) continue;
          const double value = k == 0 ? truth : of_ranks;
          all[k] += 1;
          covered[k] += found.interval->low <= value && value <= found.interval->high ? 1 : 0;
        }
      }
      EXPECT_NEAR(covered[0] / all[0], 0.95, 0.015) << points << " " << truth;
      EXPECT_GE(covered[1] / all[1], 0.94) << points << " " << truth;
      EXPECT_LE(covered[1] / all[1], 0.99) << points << " " << truth;
    }
  }
}

TEST(CorrelationDifference, IsThatOfTheTwoAndCoversIt) {
  Random random(4, "difference");
  const double early_truth = 0.2, late_truth = 0.7;
  double covered = 0, all = 0;
  for (int i = 0; i < 4000; ++i) {
    Values early, late, y;
    for (int point = 0; point < 10; ++point) {
      const double common = normal(random);
      y.push_back(common);
      early.push_back(early_truth * common +
                      std::sqrt(1 - early_truth * early_truth) * normal(random));
      late.push_back(late_truth * common + std::sqrt(1 - late_truth * late_truth) * normal(random));
    }
    const CorrelationDifference found =
        correlation_difference(CorrelationKind::kPearson, early, late, y);
    ASSERT_TRUE(found.value && found.interval);
    EXPECT_NEAR(*found.value, pearson(late, y) - pearson(early, y), 1e-12);
    all += 1;
    covered += found.interval->low <= 0.5 && 0.5 <= found.interval->high ? 1 : 0;
  }
  EXPECT_GE(covered / all, 0.935);
  EXPECT_LE(covered / all, 0.98);
  EXPECT_EQ(
      correlation_difference(CorrelationKind::kPearson, {1, 1, 1}, {1, 2, 3}, {1, 2, 4}).no_value,
      "the early side is constant");
}

}  // namespace
}  // namespace taskneuron

#include "taskneuron/analysis/forecast.h"

#include <cmath>
#include <numeric>

#include "analysis/ridge.h"
#include "support/support.h"
#include "taskneuron/base/random.h"
#include "taskneuron/base/statistics.h"

namespace taskneuron {
namespace {

using Values = std::vector<double>;

double normal(Random& random) {
  return std::sqrt(-2 * std::log(1 - random.uniform())) *
         std::cos(2 * 3.141592653589793 * random.uniform());
}

// Something of the source, of the target, and of the pair.
TaskTable drawn(Random& random, std::size_t tasks) {
  Values source, target;
  for (std::size_t t = 0; t < tasks; ++t) {
    source.push_back(normal(random));
    target.push_back(normal(random));
  }
  TaskTable table(tasks, std::vector<std::optional<double>>(tasks));
  for (std::size_t i = 0; i < tasks; ++i) {
    for (std::size_t j = 0; j < tasks; ++j) {
      if (i != j) table[i][j] = source[i] + 3 * target[j] + normal(random);
    }
  }
  return table;
}

TaskTable plus(const TaskTable& a, double factor, const TaskTable& b) {
  TaskTable sum = a;
  for (std::size_t i = 0; i < a.size(); ++i) {
    for (std::size_t j = 0; j < a.size(); ++j) {
      if (a[i][j] && b[i][j]) sum[i][j] = *a[i][j] + factor * *b[i][j];
    }
  }
  return sum;
}

std::vector<std::string> names(std::size_t tasks) {
  std::vector<std::string> result;
  for (std::size_t t = 0; t < tasks; ++t) result.push_back("task" + std::to_string(t));
  return result;
}

const ForecastScore& score_of(const Forecast& found, const std::string& name) {
  for (const ForecastScore& score : found.scores) {
    if (score.name == name) return score;
  }
  throw std::runtime_error(name);
}

// The definition once more: ranks of values standardised by column.
double plain_score(const TaskTable& x, const TaskTable& y) {
  Values all_x, all_y;
  for (std::size_t j = 0; j < x.size(); ++j) {
    Values of_x, of_y;
    for (std::size_t i = 0; i < x.size(); ++i) {
      if (i == j) continue;
      of_x.push_back(*x[i][j]);
      of_y.push_back(*y[i][j]);
    }
    for (std::size_t k = 0; k < of_x.size(); ++k) {
      all_x.push_back((of_x[k] - mean(of_x)) / standard_deviation(of_x));
      all_y.push_back((of_y[k] - mean(of_y)) / standard_deviation(of_y));
    }
  }
  return spearman(all_x, all_y);
}

TEST(Forecast, ScoresWithinTargets) {
  Random random(1, "forecast");
  const TaskTable x = drawn(random, 6), noise = drawn(random, 6), y = drawn(random, 6);
  const Forecast found = forecast(
      {names(6), plus(y, 1, x), {{"x", x}, {"noise", noise, true, true}, {"size", noise, false}}});
  const ForecastScore& score = score_of(found, "x");
  EXPECT_NEAR(score.value.value(), plain_score(x, plus(y, 1, x)), 1e-12);
  EXPECT_EQ(score.entries, 30);
  EXPECT_EQ(score.kind, "predictor");
  EXPECT_TRUE(score.permutation->exact);
  EXPECT_EQ(score.permutation->orders, 720);
  EXPECT_TRUE(score.pooled && score.interval);
  EXPECT_EQ(score_of(found, "size").kind, "baseline");
  EXPECT_EQ(found.ridge_weights.size(), 2u);
  EXPECT_EQ(score.without.size(), 6u);
  // average and ridge against the yardstick "noise" and the source mean.
  ASSERT_EQ(found.comparisons.size(), 4u);
  EXPECT_EQ(found.comparisons[0].name + " " + found.comparisons[0].against, "average noise");
  EXPECT_NEAR(found.comparisons[0].difference,
              *score_of(found, "average").value - *score_of(found, "noise").value, 1e-12);
  EXPECT_TRUE(found.comparisons[0].interval);
  // A baseline that reads the measured table is not independent of it under relabelling.
  EXPECT_FALSE(score_of(found, "source mean").permutation);
  EXPECT_FALSE(score_of(found, "target mean").value);
  EXPECT_TRUE(score_of(found, "target mean").pooled);
}

TEST(Forecast, PIsThatOfRelabelling) {
  Random random(2, "forecast");
  const TaskTable x = drawn(random, 4), y = drawn(random, 4);
  const Forecast found = forecast({names(4), y, {{"x", x}}});
  std::vector<std::size_t> order(4);
  std::iota(order.begin(), order.end(), std::size_t{0});
  double reached = 0, all = 0;
  const double observed = std::abs(plain_score(x, y));
  do {
    TaskTable moved = x;
    for (std::size_t i = 0; i < 4; ++i) {
      for (std::size_t j = 0; j < 4; ++j) moved[i][j] = x[order[i]][order[j]];
    }
    reached += std::abs(plain_score(moved, y)) >= observed - 1e-9 ? 1 : 0;
    ++all;
  } while (std::next_permutation(order.begin(), order.end()));
  EXPECT_NEAR(score_of(found, "x").permutation->p.value(), reached / all, 1e-12);
}

TEST(Forecast, RelabelsWithinTypes) {
  // Sources help targets of their own type, and the predictor knows nothing but types.
  Random random(6, "forecast");
  const std::vector<std::string> types = {"a", "b", "a", "b", "a", "b"};
  TaskTable y = drawn(random, 6), same = drawn(random, 6);
  for (std::size_t i = 0; i < 6; ++i) {
    for (std::size_t j = 0; j < 6; ++j) {
      if (types[i] == types[j]) *y[i][j] += 9;
      *same[i][j] = (types[i] == types[j] ? 1 : 0) + *same[i][j] / 1e6;
    }
  }
  ForecastRequest request{names(6), y, {{"same", same}}};
  // 72 of the 720 orders keep types together.
  EXPECT_LT(*score_of(forecast(request), "same").permutation->p, 0.11);
  request.types = types;
  const ForecastScore within = score_of(forecast(request), "same");
  EXPECT_EQ(within.permutation->orders, 36);
  EXPECT_TRUE(within.permutation->exact);
  EXPECT_GT(*within.permutation->p, 0.2);
  request.types.pop_back();
  EXPECT_NE(test::error_of([&] { forecast(request); }), "");
}

TEST(Forecast, FindsWhatForeseesAndTakesNoiseForNoise) {
  Random random(3, "forecast");
  int found_x = 0, found_noise = 0, found_ridge = 0, found_nothing = 0, covered = 0;
  constexpr int kRuns = 200;
  for (int run = 0; run < kRuns; ++run) {
    const TaskTable x = drawn(random, 6), noise = drawn(random, 6), y = drawn(random, 6);
    const auto p_of = [](const Forecast& found, const char* name) {
      return score_of(found, name).permutation->p.value_or(1);
    };
    const Forecast some =
        forecast({names(6), plus(y, 3, x), {{"x", x}, {"noise", noise}}, 0, 1, 99});
    found_x += p_of(some, "x") <= 0.05 ? 1 : 0;
    found_noise += p_of(some, "noise") <= 0.05 ? 1 : 0;
    found_ridge += p_of(some, "ridge") <= 0.05 ? 1 : 0;
    const Forecast none = forecast({names(6), y, {{"x", x}, {"noise", noise}}, 0, 1, 99});
    found_nothing += p_of(none, "ridge") <= 0.05 ? 1 : 0;
    const auto& interval = score_of(none, "x").interval;
    covered += interval && interval->low <= 0 && 0 <= interval->high ? 1 : 0;
  }
  EXPECT_GE(found_x, 0.9 * kRuns);
  EXPECT_GE(found_ridge, 0.8 * kRuns);
  // 5% of 200, and three standard errors.
  EXPECT_LE(found_noise, 19);
  EXPECT_LE(found_nothing, 19);
  EXPECT_GE(covered, 0.9 * kRuns) << covered;
  RecordProperty("covered", covered);
}

TEST(Forecast, RidgeLooksAtNoEntryOfTheTwoTasks) {
  Random random(4, "forecast");
  const TaskTable x = within_targets(drawn(random, 6));
  const TaskTable y = drawn(random, 6);
  TaskTable changed = y;
  for (std::size_t k = 0; k < 6; ++k) {
    for (const std::size_t t : {1u, 4u}) {
      if (k != t) changed[k][t] = 100.0 * static_cast<double>(k);
      if (k != t) changed[t][k] = -7.0 * static_cast<double>(k);
    }
  }
  const TaskTable before = cross_validated_ridge({x}, y),
                  after = cross_validated_ridge({x}, changed);
  EXPECT_EQ(before[1][4], after[1][4]);
  EXPECT_EQ(before[4][1], after[4][1]);
  EXPECT_NE(before[0][1], after[0][1]);
}

TEST(Forecast, RidgeSolvesItsEquations) {
  // Two entries, two predictors: (XᵀX/n + I) w = Xᵀy/n by hand.
  const auto table = [](double a, double b) { return TaskTable{{{}, a}, {b, {}}}; };
  const std::vector<double> w = ridge_weights({table(1, 2), table(3, 1)}, table(1, -1));
  // XᵀX/n = [[2.5, 2.5], [2.5, 5]], Xᵀy/n = [-0.5, 1].
  const double determinant = 3.5 * 6 - 2.5 * 2.5;
  EXPECT_NEAR(w[0], (-0.5 * 6 - 2.5 * 1) / determinant, 1e-12);
  EXPECT_NEAR(w[1], (3.5 * 1 + 2.5 * 0.5) / determinant, 1e-12);
}

TEST(Forecast, LeavesOutWhatSaysNothing) {
  Random random(5, "forecast");
  TaskTable y = drawn(random, 5), x = drawn(random, 5);
  for (std::size_t i = 0; i < 5; ++i) {
    if (i != 2) y[i][2] = 0.25;
  }
  y[0][1].reset();
  x[3][4].reset();
  TaskTable flat(5, std::vector<std::optional<double>>(5, 1.0));
  const Forecast found = forecast({names(5), y, {{"x", x}, {"flat", flat}}});
  EXPECT_EQ(found.constant_targets, std::vector<std::string>{"task2"});
  EXPECT_EQ(score_of(found, "x").entries, 15);
  EXPECT_TRUE(score_of(found, "x").value);
  EXPECT_FALSE(score_of(found, "flat").value);
  EXPECT_EQ(score_of(found, "flat").no_value, "constant within every target");
  const auto error = [&](std::size_t tasks, const TaskTable& measured) {
    return test::error_of([&] { forecast({names(tasks), measured, {}}); });
  };
  EXPECT_NE(error(3, drawn(random, 3)).find("at least 4"), std::string::npos);
  EXPECT_NE(error(5, drawn(random, 4)).find("5 by 5"), std::string::npos);
  EXPECT_NE(error(5, flat).find("nothing to foresee"), std::string::npos);
}

}  // namespace
}  // namespace taskneuron

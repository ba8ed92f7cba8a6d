#include "taskneuron/analysis/sweep.h"

#include "support/support.h"
#include "taskneuron/base/error.h"

namespace taskneuron {
namespace {

Measurement measurement(std::vector<double> scores) {
  Measurement measured;
  for (const double score : scores) measured.value += score / static_cast<double>(scores.size());
  measured.losses = scores;
  for (double& loss : measured.losses) loss = 2 - loss;
  measured.loss = 2 - measured.value;
  measured.scores = std::move(scores);
  return measured;
}

SweptTask task(const std::string& name, bool trained, const std::string& metric,
               std::vector<double> scores) {
  return {name, trained, find_metric(metric), measurement(std::move(scores))};
}

const SweepCurve& curve(const SweepCurves& found, Company company, Quantity quantity, Arm arm,
                        bool of_loss, const std::string& metric = "accuracy") {
  for (const SweepCurve& one : found.curves) {
    if (one.key.company == company && one.key.quantity == quantity && one.arm == arm &&
        one.key.of_loss == of_loss && one.key.metric.name == metric) {
      return one;
    }
  }
  throw Error("no such curve");
}

// Two trained tasks and one other; scores follow from arm, top and seed.
std::vector<SweptModel> together(std::int64_t seeds) {
  std::vector<SweptModel> models;
  for (std::int64_t seed = 0; seed < seeds; ++seed) {
    for (const std::size_t top : {0, 1}) {
      for (const Arm arm : {Arm::kOwn, Arm::kRandom}) {
        if (top == 1 && arm == Arm::kRandom) continue;  // all units
        const double x = 0.1 * static_cast<double>(top) + (arm == Arm::kOwn ? 0.2 : 0) +
                         0.01 * static_cast<double>(seed);
        models.push_back({Company::kTogether,
                          "",
                          arm,
                          top,
                          seed,
                          {task("a", true, "accuracy", {x, x + 0.2}),
                           task("b", true, "accuracy", {x + 0.1, x + 0.3}),
                           task("c", false, "accuracy", {x - 0.1, x, x + 0.1})}});
      }
    }
  }
  return models;
}

const std::vector<SweptTask> kBase = {task("a", true, "accuracy", {0, 0.1}),
                                      task("b", true, "accuracy", {0.1, 0.2}),
                                      task("c", false, "accuracy", {0, 0, 0.3})};

TEST(Sweep, AveragesTrainedAndOtherTasks) {
  const SweepCurves found = sweep_curves({"10%", "100%"}, 1, together(2), kBase);
  const SweepCurve& special =
      curve(found, Company::kTogether, Quantity::kSpecialization, Arm::kOwn, false);
  EXPECT_NEAR(special.base, 0.1, 1e-12);
  EXPECT_EQ(special.seeds, 2);
  EXPECT_NEAR(special.points[0].difference, 0.2 + 0.005 + 0.15, 1e-12);
  EXPECT_NEAR(special.points[1].difference, 0.3 + 0.005 + 0.15, 1e-12);
  EXPECT_EQ(special.best.at, 1U);
  const SweepCurve& general =
      curve(found, Company::kTogether, Quantity::kGeneralization, Arm::kRandom, false);
  EXPECT_NEAR(general.points[0].difference, 0.005, 1e-12);
  // All units are one model, on both curves.
  EXPECT_NEAR(general.points[1].difference, 0.305, 1e-12);
  const SweepCurve& mean = curve(found, Company::kTogether, Quantity::kMean, Arm::kOwn, false);
  EXPECT_NEAR(mean.points[0].difference, (0.355 + 0.205) / 2, 1e-12);
  // Of losses the lowest is best.
  const SweepCurve& loss =
      curve(found, Company::kTogether, Quantity::kSpecialization, Arm::kOwn, true);
  EXPECT_NEAR(loss.points[0].difference, 2 - 0.355, 1e-12);
  EXPECT_EQ(loss.best.at, 1U);
}

TEST(Sweep, OwnMinusRandomStandsWhereBothAre) {
  const SweepCurves found = sweep_curves({"10%", "100%"}, 1, together(2), kBase);
  ASSERT_EQ(found.differences.size(), 6U);
  for (const SweepDifference& difference : found.differences) {
    ASSERT_TRUE(difference.points[0]);
    EXPECT_NEAR(difference.points[0]->difference, difference.key.of_loss ? -0.2 : 0.2, 1e-12);
    EXPECT_TRUE(difference.points[0]->test);
    EXPECT_FALSE(difference.points[1]);
  }
  // One training each, of one model: nothing is known of how trainings differ.
  const SweepCurves once = sweep_curves({"10%", "100%"}, 1, together(1), kBase);
  EXPECT_FALSE(once.differences.front().points[0]->test);
  EXPECT_FALSE(once.differences.front().points[0]->interval);
}

std::vector<SweptModel> alone() {
  std::vector<SweptModel> models;
  for (const Arm arm : {Arm::kOwn, Arm::kRandom}) {
    const double x = arm == Arm::kOwn ? 0.2 : 0;
    models.push_back(
        {Company::kAlone,
         "a",
         arm,
         0,
         0,
         {task("a", true, "accuracy", {x, x}), task("c", false, "accuracy", {x, x, x})}});
    models.push_back({Company::kAlone,
                      "b",
                      arm,
                      0,
                      0,
                      {task("b", true, "accuracy", {2 * x, 2 * x + 0.2}),
                       task("c", false, "accuracy", {0.3, 0.3, 0.3})}});
  }
  return models;
}

TEST(Sweep, ModelsOfSingleTasksAreAveragedAndComparedOverTasks) {
  const SweepCurves found = sweep_curves({"10%"}, std::nullopt, alone(), kBase);
  const SweepCurve& special =
      curve(found, Company::kAlone, Quantity::kSpecialization, Arm::kOwn, false);
  EXPECT_NEAR(special.points[0].difference, (0.2 + 0.5) / 2, 1e-12);
  const SweepCurve& general =
      curve(found, Company::kAlone, Quantity::kGeneralization, Arm::kOwn, false);
  EXPECT_NEAR(general.points[0].difference, 0.25, 1e-12);
  for (const SweepDifference& difference : found.differences) {
    if (difference.key.of_loss) continue;
    // Differences of the two models: .2 and .4 of their own task, .2 and 0 of the other.
    const bool special_key = difference.key.quantity == Quantity::kSpecialization;
    const bool general_key = difference.key.quantity == Quantity::kGeneralization;
    const double expected = special_key ? 0.3 : general_key ? 0.1 : 0.2;
    EXPECT_NEAR(difference.points[0]->difference, expected, 1e-12);
    if (!special_key) continue;
    EXPECT_NEAR(difference.points[0]->test->t, 0.3 / 0.1, 1e-9);
  }
}

// Models of a and b (accuracy) and of g (ROUGE-L): all three are tested on c.
TEST(Sweep, AMeanOfTasksOfOneMetricIsComparedOverModelsOfAll) {
  std::vector<SweptModel> models = alone();
  for (const Arm arm : {Arm::kOwn, Arm::kRandom}) {
    const double x = arm == Arm::kOwn ? 0.3 : 0;
    models.push_back({Company::kAlone,
                      "g",
                      arm,
                      0,
                      0,
                      {task("g", true, "rougeL", {x, x}),
                       task("c", false, "accuracy", {0.1 + x, 0.1 + x, 0.1 + x})}});
  }
  std::vector<SweptTask> base = kBase;
  base.push_back(task("g", true, "rougeL", {0, 0}));
  const SweepCurves found = sweep_curves({"10%"}, std::nullopt, models, base);
  for (const SweepDifference& difference : found.differences) {
    const auto of_arm = [&](Arm arm) {
      return curve(found, Company::kAlone, difference.key.quantity, arm, difference.key.of_loss,
                   difference.key.metric.name)
          .points[0]
          .difference;
    };
    EXPECT_NEAR(difference.points[0]->difference, of_arm(Arm::kOwn) - of_arm(Arm::kRandom), 1e-12)
        << quantity_name(difference.key.quantity) << " of " << difference.key.metric.name;
  }
}

TEST(Sweep, RandomUnitsAloneHaveTheModelOfAllUnitsAsTheirEnd) {
  std::vector<SweptModel> models;
  for (SweptModel& model : together(2)) {
    if (model.arm == Arm::kRandom || model.top == 1) models.push_back(std::move(model));
  }
  const SweepCurves found = sweep_curves({"10%", "100%"}, 1, models, kBase);
  EXPECT_TRUE(found.differences.empty());
  ASSERT_EQ(found.curves.size(), 6U);
  for (const SweepCurve& one : found.curves) EXPECT_EQ(one.arm, Arm::kRandom);
  const SweepCurve& general =
      curve(found, Company::kTogether, Quantity::kGeneralization, Arm::kRandom, false);
  EXPECT_NEAR(general.points[0].difference, 0.005, 1e-12);
  EXPECT_NEAR(general.points[1].difference, 0.305, 1e-12);
  // The spread between trainings is that of both points.
  const SweepCurves both = sweep_curves({"10%", "100%"}, 1, together(2), kBase);
  const SweepCurve& of_both =
      curve(both, Company::kTogether, Quantity::kGeneralization, Arm::kRandom, false);
  EXPECT_NEAR(general.points[0].interval->low, of_both.points[0].interval->low, 0.05);
}

TEST(Sweep, AllUnitsAloneAreTheOwnOnes) {
  std::vector<SweptModel> models;
  for (SweptModel& model : together(2)) {
    if (model.top != 1) continue;
    model.top = 0;
    models.push_back(std::move(model));
  }
  const SweepCurves found = sweep_curves({"100%"}, 0, models, kBase);
  ASSERT_EQ(found.curves.size(), 6U);
  EXPECT_EQ(found.curves.front().arm, Arm::kOwn);
}

TEST(Sweep, AMissingModelIsNamed) {
  std::vector<SweptModel> models = alone();
  models.pop_back();
  EXPECT_NE(test::error_of([&] {
              sweep_curves({"10%"}, std::nullopt, models, kBase);
            }).find("no model of random units, trained alone on b"),
            std::string::npos);
}

TEST(OverlapControl, SlopesAreLeastSquares) {
  std::vector<OverlapModel> models;
  for (const std::size_t share : {0, 1, 2}) {
    for (const char* name : {"a", "b", "c"}) {
      const double x = 0.1 * static_cast<double>(share) * (name[0] == 'c' ? 1.2 : 1);
      models.push_back({0, share, 0, task(name, true, "accuracy", {x, x + 0.1}),
                        0.5 * static_cast<double>(share)});
    }
  }
  const auto curves = overlap_curves(1, 3, models);
  ASSERT_EQ(curves.size(), 2U);
  EXPECT_FALSE(curves[0].of_loss);
  EXPECT_EQ(curves[0].shares, (std::vector<double>{0, 0.5, 1}));
  EXPECT_NEAR(curves[0].points[1].difference, 0.32 / 3 + 0.05, 1e-12);
  // .2 a share in two tasks, .24 in the third; the test is over these.
  ASSERT_TRUE(curves[0].slope);
  EXPECT_NEAR(curves[0].slope->difference, 0.64 / 3, 1e-12);
  ASSERT_TRUE(curves[0].slope->test);
  EXPECT_EQ(curves[0].slope->test->df, 2);
  EXPECT_NEAR(curves[1].slope->difference, -0.64 / 3, 1e-12);
}

// Where a task has nearly all units of every layer, no share but one can be had.
TEST(OverlapControl, OneShareHasNoSlope) {
  std::vector<OverlapModel> models;
  for (const std::size_t share : {0, 1}) {
    for (const char* name : {"a", "b", "c"}) {
      models.push_back({0, share, 0, task(name, true, "accuracy", {0.1, 0.2}), 1});
    }
  }
  const auto curves = overlap_curves(1, 2, models);
  ASSERT_EQ(curves.size(), 2U);
  EXPECT_FALSE(curves[0].slope);
  EXPECT_NEAR(curves[0].points[1].difference, 0.15, 1e-12);
}

}  // namespace
}  // namespace taskneuron

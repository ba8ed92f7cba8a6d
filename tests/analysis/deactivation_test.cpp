#include "taskneuron/analysis/deactivation.h"

#include "support/task_on_model.h"
#include "taskneuron/base/statistics.h"

namespace taskneuron {
namespace {

NeuronSet every_third_unit(const ModelConfig& config, std::int64_t first) {
  NeuronSet set;
  const SiteShape shape = site_shape(config, Site::kAct);
  set.sites[Site::kAct].width = shape.width;
  for (std::int64_t l = 0; l < shape.layers; ++l) {
    auto& units = set.sites[Site::kAct].units.emplace_back();
    for (std::int64_t unit = first; unit < shape.width; unit += 3) units.push_back(unit);
  }
  return set;
}

// Two tasks (one split under two names) with sets of their own, in two modes.
class Deactivation : public ::testing::Test {
 protected:
  Deactivation() : fixture_(test::end_to_end("llama", "test")) {
    const ModelConfig& config = fixture_.checkpoint.config();
    for (const char* name : {"a", "b"}) {
      TaskSets& sets = sets_.emplace_back();
      sets.task = name;
      sets.own = every_third_unit(config, name[0] - 'a');
      for (std::int64_t draw = 0; draw < 3; ++draw) {
        sets.random[RandomKind::kMatched].push_back(
            random_set(sets.own, {RandomKind::kMatched, name, 0, draw}));
      }
    }
    for (const char* mode : {"activation", "parameter"}) {
      conditions_.push_back({"33%", "layer", mode, parse_mode(mode), &sets_});
    }
  }

  DeactivatedTask run(const std::string& task, OtherTasks others) {
    const TaskEvaluation evaluation(fixture_.task, "test", fixture_.rows, fixture_.encoder, {});
    std::int64_t examples = 0;
    DeactivationOptions options;
    options.others = others;
    options.progress = [&](std::int64_t done, std::int64_t) { examples += done; };
    options.evaluated = [&](const EvaluatedRow& row, const TaskResult& found) {
      evaluated_.push_back({row, found});
    };
    DeactivatedTask result = deactivate(fixture_.decoder, evaluation, task, conditions_, options);
    EXPECT_EQ(examples, deactivation_runs(conditions_, task, others) * evaluation.examples());
    return result;
  }

  test::TaskOnModel fixture_;
  std::vector<TaskSets> sets_;
  std::vector<Condition> conditions_;
  std::vector<std::pair<EvaluatedRow, TaskResult>> evaluated_;
};

TEST_F(Deactivation, RowsAreThoseOfSeparateEvaluations) {
  const DeactivatedTask task = run("b", OtherTasks::kSwitchOff);
  NeuronHook none;
  EXPECT_EQ(task.original.loss, fixture_.evaluate(none).loss);
  for (std::size_t i = 0; i < 2; ++i) {
    SetHook hook(sets_[i].own, 0);
    const TaskResult alone = fixture_.evaluate(hook);
    EXPECT_EQ(task.conditions[0].off[i]->loss, alone.loss);
    EXPECT_EQ(task.conditions[0].off[i]->value, alone.value);
  }
  EXPECT_EQ(task.own, 1);
  const RandomRows& random = task.conditions[0].random.at(RandomKind::kMatched);
  ASSERT_EQ(random.by_draw.size(), 3);
  double mean_loss = 0;
  for (const Measurement& row : random.by_draw) mean_loss += row.loss / 3;
  EXPECT_NEAR(random.own_minus_random.loss.difference, task.own_off(0).loss - mean_loss, 1e-9);
  EXPECT_NEAR(task.conditions[0].own_minus_original.loss.difference,
              task.own_off(0).loss - task.original.loss, 1e-9);
}

// What is handed out example by example gives the contrasts again.
TEST_F(Deactivation, EveryEvaluationIsHandedOut) {
  const DeactivatedTask task = run("b", OtherTasks::kSwitchOff);
  SetScores scores;
  std::size_t originals = 0, others = 0;
  for (const auto& [row, found] : evaluated_) {
    std::vector<double> losses;
    for (const Prediction& prediction : found.predictions) losses.push_back(prediction.loss);
    if (row.condition == nullptr) {
      ++originals;
    } else if (row.condition != &conditions_[0]) {
      continue;
    } else if (row.random) {
      EXPECT_EQ(row.draw, static_cast<std::int64_t>(scores.random.size()));
      scores.random.push_back(losses);
    } else if (row.units_of == "b") {
      scores.own = losses;
    } else {
      ++others;
    }
  }
  EXPECT_EQ(originals, 1);
  EXPECT_EQ(others, 1);
  ASSERT_EQ(scores.random.size(), 3);
  const Contrast again = own_minus_random({scores}, 0);
  const Contrast& contrast =
      task.conditions[0].random.at(RandomKind::kMatched).own_minus_random.loss;
  EXPECT_EQ(contrast.test->p, again.test->p);
  EXPECT_EQ(contrast.randomisation->p, again.randomisation->p);
  EXPECT_EQ(contrast.interval->low, again.interval->low);
}

TEST_F(Deactivation, FamiliesAreTheTasksOfACondition) {
  std::vector<DeactivatedTask> tasks = {run("a", OtherTasks::kLeaveOut),
                                        run("b", OtherTasks::kLeaveOut)};
  adjust_families(tasks);
  std::vector<double> p, adjusted;
  for (const DeactivatedTask& task : tasks) {
    const Contrast& contrast =
        task.conditions[1].random.at(RandomKind::kMatched).own_minus_random.loss;
    p.push_back(contrast.p().value());
    adjusted.push_back(contrast.p_adjusted.value());
  }
  EXPECT_EQ(adjusted, benjamini_hochberg(p));
}

TEST_F(Deactivation, ActivationAndParameterAgree) {
  const std::vector<DeactivatedTask> tasks = {run("a", OtherTasks::kLeaveOut)};
  EXPECT_FALSE(tasks[0].conditions[0].off[1].has_value());
  const Agreement found = agreement(tasks, 0, 1);
  EXPECT_LT(found.largest_loss_difference, 1e-5);
  EXPECT_EQ(found.different_scores, 0);
  EXPECT_EQ(found.examples, tasks[0].examples);
}

TEST_F(Deactivation, MatrixAndAverageTakeEveryTask) {
  const std::vector<DeactivatedTask> tasks = {run("b", OtherTasks::kSwitchOff),
                                              run("a", OtherTasks::kSwitchOff)};
  const auto matrix = cross_matrix(tasks, sets_, 0, 7);
  ASSERT_TRUE(matrix.has_value());
  // Rows are in the order of the tasks, not of the sets.
  EXPECT_NEAR(matrix->loss[0][0], tasks[0].own_off(0).loss - tasks[0].original.loss, 1e-12);
  EXPECT_NEAR(matrix->loss[0][1], tasks[1].conditions[0].off[1]->loss - tasks[1].original.loss,
              1e-12);
  const std::vector<AverageRows> averages = average_rows(tasks, 0, 7);
  ASSERT_EQ(averages.size(), 1);
  EXPECT_EQ(averages[0].tasks, 2);
  EXPECT_NEAR(averages[0].own_loss, (tasks[0].own_off(0).loss + tasks[1].own_off(0).loss) / 2,
              1e-12);
  EXPECT_FALSE(matrix->loss_test.p.has_value());  // two rows have two orders
  EXPECT_FALSE(cross_matrix({tasks[0]}, sets_, 0, 7).has_value());
}

TEST_F(Deactivation, MeansAreAFamilyOverMetricsAndKinds) {
  std::vector<TaskSets> sets = sets_;
  for (TaskSets& of : sets) {
    for (std::int64_t draw = 0; draw < 3; ++draw) {
      of.random[RandomKind::kUniform].push_back(
          random_set(of.own, {RandomKind::kUniform, of.task, 0, draw}));
    }
  }
  conditions_ = {{"33%", "layer", "activation", parse_mode("activation"), &sets}};
  std::vector<DeactivatedTask> tasks = {run("a", OtherTasks::kLeaveOut),
                                        run("b", OtherTasks::kLeaveOut)};
  tasks[1].metric.name = "another";
  std::vector<double> p, adjusted;
  for (const AverageRows& row : average_rows(tasks, 0, 7)) {
    for (const auto& item : row.random) {
      p.push_back(item.second.own_minus_random.loss.p().value());
      adjusted.push_back(item.second.own_minus_random.loss.p_adjusted.value());
    }
  }
  EXPECT_EQ(p.size(), 4);
  EXPECT_EQ(adjusted, benjamini_hochberg(p));
}

TEST_F(Deactivation, ATaskWithoutASetIsRefused) {
  EXPECT_NE(test::error_of([&] { run("c", OtherTasks::kSwitchOff); }).find("no score file"),
            std::string::npos);
}

}  // namespace
}  // namespace taskneuron

#include "taskneuron/evaluate/metric.h"

#include "support/support.h"

namespace taskneuron {
namespace {

TEST(Metric, FollowsFromTaskAndScoring) {
  Task task;
  task.type = TaskType::kClassification;
  task.metric = "accuracy";
  EXPECT_EQ(metric_of(task, Scoring::kRank).name, "accuracy");
  EXPECT_EQ(metric_of(task, Scoring::kRankNorm).name, "accuracy (rank-norm)");
  EXPECT_EQ(metric_of(task, Scoring::kGenerate).name, "exact match");
  EXPECT_EQ(metric_of(task, Scoring::kLoss).name, "loss");
  task.type = TaskType::kGeneration;
  for (const char* name : {"rougeL", "rougeL-stem", "exact match"}) {
    task.metric = name;
    EXPECT_EQ(metric_of(task, Scoring::kGenerate).name, name);
  }
  task.metric = "accuracy";  // no score of a text
  EXPECT_EQ(metric_of(task, Scoring::kGenerate).name, "rougeL");
}

TEST(Metric, KnowsWhichWayIsBetter) {
  EXPECT_EQ(find_metric("accuracy").gain(0.25), 0.25);
  EXPECT_EQ(find_metric("loss").gain(0.25), -0.25);
  EXPECT_NE(
      test::error_of([] { find_metric("bleu"); }).find("metric 'bleu' is unknown; metrics are "),
      std::string::npos);
}

TEST(Metric, ScoresTexts) {
  const std::vector<std::string> references = {"a dog runs", "two dogs"};
  EXPECT_EQ(find_metric("exact match").score("Two dogs.", references), 1);
  EXPECT_EQ(find_metric("exact match").score("two", references), 0);
  EXPECT_NEAR(find_metric("rougeL").score("two dog", references), 0.5, 1e-12);
  EXPECT_NEAR(find_metric("rougeL-stem").score("two dog", references), 1, 1e-12);
}

}  // namespace
}  // namespace taskneuron

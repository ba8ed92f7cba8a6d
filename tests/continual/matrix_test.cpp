#include "taskneuron/continual/matrix.h"

#include <gtest/gtest.h>

namespace taskneuron {
namespace {

// Three tasks:        after stage 1    2    3      z    A
//   task 1                     .8   .6   .4     .1   .8
//   task 2                     .2   .9   .7     .3   .9
//   task 3                      ?   .1   .5     .2   .5
StreamResults worked() {
  StreamResults results;
  results.tasks = {"a", "b", "c"};
  results.matrix = {{0.8, 0.6, 0.4}, {0.2, 0.9, 0.7}, {std::nullopt, 0.1, 0.5}};
  results.zero_shot = {0.1, 0.3, 0.2};
  results.single = {0.8, 1.0, 0.5};
  return results;
}

TEST(StreamMetrics, AgreeWithAMatrixWorkedByHand) {
  const StreamMetrics found = stream_metrics(worked());
  EXPECT_NEAR(found.cl.value(), (0.4 + 0.7 + 0.5) / 3, 1e-12);
  ASSERT_EQ(found.fg.size(), 3u);
  EXPECT_FALSE(found.fg[0].has_value());
  EXPECT_NEAR(found.fg[1].value(), 0.6 / 0.8, 1e-12);
  EXPECT_NEAR(found.fg[2].value(), (0.4 / 0.8 + 0.7 / 1.0) / 2, 1e-12);
  EXPECT_NEAR(found.fg_diagonal[2].value(), (0.4 / 0.8 + 0.7 / 0.9) / 2, 1e-12);
  EXPECT_NEAR(found.bwt.value(), ((0.4 - 0.8) + (0.7 - 0.9)) / 2, 1e-12);
  EXPECT_NEAR(found.fwt.value(), ((0.2 - 0.3) + (0.1 - 0.2)) / 2, 1e-12);
  // Task 1: max(.8, .6) - .4; task 2: .9 - .7.
  EXPECT_NEAR(found.forgetting.value(), (0.4 + 0.2) / 2, 1e-12);
}

TEST(StreamMetrics, AreUnknownWhereWhatTheyNeedIs) {
  StreamResults results = worked();
  results.single[0] = 0;
  results.matrix[1][0] = std::nullopt;
  StreamMetrics found = stream_metrics(results);
  EXPECT_FALSE(found.fg[2].has_value());  // divides by 0
  EXPECT_FALSE(found.fwt.has_value());
  EXPECT_TRUE(found.bwt.has_value());
  results.matrix[0][2] = std::nullopt;  // the stream ended early
  found = stream_metrics(results);
  EXPECT_FALSE(found.cl || found.bwt || found.forgetting);
  EXPECT_TRUE(found.fg_diagonal[1].has_value());
}

TEST(StreamMetrics, OfOneTaskKnowOnlyItsMetric) {
  StreamResults results;
  results.tasks = {"a"};
  results.matrix = {{0.5}};
  results.zero_shot = {0.1};
  results.single = {0.5};
  const StreamMetrics found = stream_metrics(results);
  EXPECT_NEAR(found.cl.value(), 0.5, 1e-12);
  EXPECT_FALSE(found.bwt || found.fwt || found.forgetting || found.fg[0]);
}

}  // namespace
}  // namespace taskneuron

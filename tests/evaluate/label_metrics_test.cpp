#include "taskneuron/evaluate/label_metrics.h"

#include <algorithm>
#include <cmath>

#include "support/support.h"

namespace taskneuron {
namespace {

Prediction ranked(const std::string& reference, std::int64_t gold, std::vector<double> scores) {
  Prediction prediction;
  prediction.reference = reference;
  prediction.gold = gold;
  prediction.scores = std::move(scores);
  const auto best = std::max_element(prediction.scores.begin(), prediction.scores.end());
  prediction.score = best - prediction.scores.begin() == gold ? 1 : 0;
  return prediction;
}

// A model that says "yes" to everything, three of four times rightly.
TEST(LabelMetrics, SeeAModelThatAlwaysSaysTheSame) {
  const auto metrics = label_metrics({ranked("yes", 0, {-1, -2}), ranked("yes", 0, {-1, -2}),
                                      ranked("yes", 0, {-1, -2}), ranked("no", 1, {-1, -2})});
  ASSERT_TRUE(metrics.has_value());
  EXPECT_EQ(metrics->majority, 0.75);
  EXPECT_EQ(metrics->balanced_accuracy, 0.5);
}

// Labels that all become improbable alike cost loss, and none of what the model knows.
TEST(LabelMetrics, LabelLossIsFreeOfTheAnswersForm) {
  const double known = std::log(1 + std::exp(-1.0));
  for (const double level : {0.0, -50.0, -2000.0}) {
    const auto metrics = label_metrics({ranked("yes", 0, {level - 1, level - 2})});
    EXPECT_NEAR(metrics->loss, known, 1e-9);
  }
  const auto ignorant = label_metrics({ranked("a", 2, {-7, -7, -7})});
  EXPECT_NEAR(ignorant->loss, std::log(3.0), 1e-12);
}

TEST(LabelMetrics, NothingWithoutLabels) {
  EXPECT_FALSE(label_metrics({}).has_value());
  EXPECT_FALSE(label_metrics({Prediction()}).has_value());
}

}  // namespace
}  // namespace taskneuron

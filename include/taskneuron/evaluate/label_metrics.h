#pragma once

#include <optional>
#include <vector>

#include "taskneuron/evaluate/evaluation.h"

namespace taskneuron {

// What accuracy by ranking labels hides: whether the model still tells the labels apart, or says
// the same one to everything, or no longer writes labels at all.
struct LabelMetrics {
  double majority = 0;           // accuracy of the commonest label of these examples, always said
  double balanced_accuracy = 0;  // mean over labels of the share of its examples that are right
  double loss = 0;               // mean of `losses`
  // −log of the right label's probability among the labels alone (softmax of their
  // log-probabilities), nats by example: log(labels) for a model that knows nothing.
  std::vector<double> losses;
};

// Nothing unless every prediction ranks labels, or for no predictions.
std::optional<LabelMetrics> label_metrics(const std::vector<Prediction>& predictions);

}  // namespace taskneuron

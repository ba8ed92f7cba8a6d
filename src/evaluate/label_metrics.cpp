#include "taskneuron/evaluate/label_metrics.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <string>

#include "base/check.h"
#include "taskneuron/base/statistics.h"

namespace taskneuron {

namespace {

double label_loss(const Prediction& prediction) {
  TN_CHECK_GE(prediction.gold, 0);
  TN_CHECK_LT(prediction.gold, prediction.scores.size());
  const double highest = *std::max_element(prediction.scores.begin(), prediction.scores.end());
  double sum = 0;
  for (const double score : prediction.scores) sum += std::exp(score - highest);
  return std::log(sum) + highest - prediction.scores[static_cast<std::size_t>(prediction.gold)];
}

}  // namespace

std::optional<LabelMetrics> label_metrics(const std::vector<Prediction>& predictions) {
  if (predictions.empty()) return {};
  LabelMetrics metrics;
  std::map<std::string, std::vector<double>> right;  // by label
  for (const Prediction& prediction : predictions) {
    if (prediction.scores.empty()) return {};
    metrics.losses.push_back(label_loss(prediction));
    right[prediction.reference].push_back(prediction.score);
  }
  metrics.loss = mean(metrics.losses);
  std::size_t most = 0;
  for (const auto& [label, scores] : right) {
    most = std::max(most, scores.size());
    metrics.balanced_accuracy += mean(scores) / static_cast<double>(right.size());
  }
  metrics.majority = static_cast<double>(most) / static_cast<double>(predictions.size());
  return metrics;
}

}  // namespace taskneuron

#pragma once

#include "base/json.h"
#include "taskneuron/evaluate/evaluation.h"

namespace taskneuron {

// {"index", "prediction", "reference", "correct" | "score", "scores"?, "loss", "metric"}
inline OutputJson prediction_json(const Prediction& prediction, const Metric& metric) {
  OutputJson row = {{"index", prediction.index},
                    {"prediction", prediction.prediction},
                    {"reference", prediction.reference}};
  if (prediction.scores.empty()) {
    row["score"] = prediction.score;
  } else {
    row["correct"] = prediction.score == 1;
    row["scores"] = prediction.scores;
    row["label"] = prediction.gold;
  }
  row["loss"] = prediction.loss;
  row["metric"] = metric.name;
  return row;
}

}  // namespace taskneuron

#pragma once

#include "base/json.h"
#include "taskneuron/evaluate/evaluation.h"

namespace taskneuron {

// {"index", "prediction", "reference", "correct" | "score", "scores"?, "loss"}
inline OutputJson prediction_json(const Prediction& prediction) {
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
  return row;
}

}  // namespace taskneuron

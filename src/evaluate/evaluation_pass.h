#pragma once

#include <vector>

#include "taskneuron/evaluate/evaluation.h"

namespace taskneuron {

struct TaskEvaluation::Pass {
  const Decoder& decoder;
  NeuronHook& hook;
  const BatchLimits& limits;
  const EvaluationProgress& progress;
  std::vector<Prediction>& predictions;  // of every row
};

// What each rank has of the predictions, into all of theirs: a row's fields are zero or empty on
// every rank but the one that filled them.
void share_predictions(std::vector<Prediction>& predictions);

}  // namespace taskneuron

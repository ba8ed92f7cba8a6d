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

}  // namespace taskneuron

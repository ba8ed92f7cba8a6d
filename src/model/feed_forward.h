#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "model/batch_plan.h"
#include "model/weights.h"
#include "taskneuron/model/neuron_hook.h"

namespace taskneuron {

struct FeedForwardContext {
  const LayerWeights& weights;
  const ModelConfig& config;
  std::int64_t layer;
  BatchPlanPtr plan;
  bool logit_rows_only;  // which of the plan's rows x holds
  NeuronHook& hook;      // must outlive the backward pass

  const std::vector<RowSpan>& spans() const {
    return logit_rows_only ? plan->logit_spans : plan->all_spans;
  }
};

// A layer's FFN with its neurons exposed: one expert at every row, or for each row the experts that
// its router picks, times their probabilities, added up. Applies the hook's scales and, in the
// backward pass, calls its taps. x: [rows, d] -> [rows, d].
at::Tensor feed_forward(const at::Tensor& x, const FeedForwardContext& context);

}  // namespace taskneuron

#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "model/batch_plan.h"
#include "model/weights.h"
#include "taskneuron/model/neuron_hook.h"

namespace taskneuron {

struct FeedForwardContext {
  const FeedForwardWeights& weights;
  Activation activation;
  std::int64_t layer;
  BatchPlanPtr plan;
  bool logit_rows_only;  // which of the plan's rows x holds
  NeuronHook& hook;      // must outlive the backward pass
};

// The FFN with its neurons exposed: f(x Wg) * (x Wu) W2, or f(x W1) W2, with biases. Applies the
// hook's scales and, in the backward pass, calls its taps. x: [rows, d] -> [rows, d].
at::Tensor feed_forward(const at::Tensor& x, const FeedForwardContext& context);

// f and f', elementwise, in x's dtype. f(0) = 0 for every activation.
at::Tensor activate(const at::Tensor& x, Activation activation);
// gradient · f'(x).
at::Tensor activate_backward(const at::Tensor& gradient, const at::Tensor& x,
                             Activation activation);

}  // namespace taskneuron

#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "model/feed_forward.h"

namespace taskneuron {

// The rows of a layer that a router sends to an expert.
struct ExpertRows {
  at::Tensor index;            // int64, ascending, among the rows that the layer runs
  std::vector<RowSpan> spans;  // of these rows by example; examples without any are left out
};

// A dense FFN, or one expert of a mixture at its rows.
struct Expert {
  const FeedForwardContext& layer;
  const FeedForwardWeights& weights;
  UnitRange units;                         // which of the layer's units it holds
  std::shared_ptr<const ExpertRows> rows;  // null: every row of the layer
};

// f(x Wg) * (x Wu) W2, or f(x W1) W2, with biases: the neurons of act, up and gate are shown to the
// hook and scaled by it. x: [rows, d] -> [rows, d].
at::Tensor expert_output(const at::Tensor& x, const Expert& expert);

// f and f', elementwise, in x's dtype. f(0) = 0 for every activation.
at::Tensor activate(const at::Tensor& x, Activation activation);
// gradient · f'(x).
at::Tensor activate_backward(const at::Tensor& gradient, const at::Tensor& x,
                             Activation activation);

}  // namespace taskneuron

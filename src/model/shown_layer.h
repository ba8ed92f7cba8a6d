#pragma once

#include <ATen/core/Tensor.h>

#include "base/torch_compat.h"
#include "model/feed_forward.h"
#include "taskneuron/model/neuron_hook.h"

namespace taskneuron {

// What an FFN's forward and backward pass need to show a hook its layer.

// Keeps for a backward function what recall_layer() gives it: a view of the layer without a site or
// values, and the hook. The graph shares the plan, so spans stay valid.
void remember_layer(torch::autograd::AutogradContext& context, const FeedForwardContext& layer);
struct ShownLayer {
  SiteView view;
  NeuronHook& hook;
};
ShownLayer recall_layer(torch::autograd::AutogradContext& context);

// The texts that the layer's rows stand in.
RowTokens row_tokens(const FeedForwardContext& layer);

// ω + offset; ω where that is undefined. Without gradients added in place.
at::Tensor add_offset(const at::Tensor& omega, const at::Tensor& offset);

// x at the start of a graph, unless it is in one: with every weight frozen nothing below the first
// tapped site needs a gradient.
at::Tensor start_graph(const at::Tensor& x);

}  // namespace taskneuron

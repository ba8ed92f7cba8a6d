#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "model/weights.h"

namespace taskneuron {

// Which experts a mixture's router sends each row to, and with what weight.
struct Routing {
  at::Tensor expert;  // int64 [rows, per token], on the device
  at::Tensor weight;  // float32 (float64 in a float64 model) [rows, per token]; gradients flow
                      // through it to x and the router
};

// The most probable experts of a softmax over all of them. x: [rows, d].
Routing route(const at::Tensor& x, const Linear& router, const MixtureConfig& mixture);

// The places, row * per token + slot, that each expert was picked at: ascending, [experts].
std::vector<std::vector<std::int64_t>> places_of_experts(const at::Tensor& expert,
                                                         std::int64_t experts);

}  // namespace taskneuron

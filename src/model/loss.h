#pragma once

#include <ATen/core/Tensor.h>

#include "model/batch_plan.h"
#include "model/weights.h"

namespace taskneuron {

// Logits that exist at a time, in values.
constexpr std::int64_t kMaxLogits = 8 << 20;

// What becomes of the head's products x before they are logits: cap · tanh(scale · x / cap), or
// scale · x where cap is 0.
struct LogitShape {
  double scale = 1;
  double softcap = 0;
  bool plain() const { return scale == 1 && softcap == 0; }
};
LogitShape logit_shape(const ModelConfig& config);
// In place.
void shape_logits(at::Tensor& products, const LogitShape& shape);

// Σ weight · nll over the batch's targets (float32 scalar) and every target's nll (float32
// [targets], no gradient). Logits exist for a slice of rows at a time; the gradient of the features
// [N, width] is formed in the forward pass where the features require one.
struct TargetLoss {
  at::Tensor total;
  at::Tensor nll;
};
TargetLoss target_loss(const at::Tensor& features, const Linear& head, const LogitShape& shape,
                       const Batch& batch);

}  // namespace taskneuron

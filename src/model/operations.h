#pragma once

#include <ATen/core/Tensor.h>

#include "model/weights.h"

namespace taskneuron {

// Differentiable operations over frozen weights: gradients flow to x alone, and no weight gradient
// is ever formed. x: [rows, in].

// x weightᵀ + bias in x's dtype: [rows, out].
at::Tensor linear(const at::Tensor& x, const Linear& weights);

// Layer norm or one of the RMS norms over the last dimension. The RMS is taken in float32.
at::Tensor normalize(const at::Tensor& x, const Norm& weights, NormKind kind, double epsilon);

// Rotates the first 2·pairs of the last dimension of x [rows, heads, head_dim] by angles whose
// cosine and sine are [rows, 1, pairs] (the half-split layout of GPT-NeoX and Llama).
at::Tensor rotate(const at::Tensor& x, const at::Tensor& cosine, const at::Tensor& sine);

}  // namespace taskneuron

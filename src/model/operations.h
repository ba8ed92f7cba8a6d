#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "model/weights.h"

namespace taskneuron {

// Differentiable operations over frozen weights: gradients flow to x alone, and no weight gradient
// is ever formed. x: [rows, in].

// x weightᵀ + bias in x's dtype: [rows, out].
at::Tensor linear(const at::Tensor& x, const Linear& weights);
// Several of the same x; their gradients are added up in one buffer.
std::vector<at::Tensor> linears(const at::Tensor& x, const std::vector<const Linear*>& weights);

// Layer norm or one of the RMS norms over the last dimension. Statistics are float32.
at::Tensor normalize(const at::Tensor& x, const Norm& weights, NormKind kind, double epsilon);

// x + addend and its norm. addend may be undefined: then sum is x, and the gradients that reach x
// directly and through its norm are added up in one pass.
struct Residual {
  at::Tensor sum;
  at::Tensor normalized;
};
Residual add_and_normalize(const at::Tensor& x, const at::Tensor& addend, const Norm& weights,
                           NormKind kind, double epsilon);
// The same without a norm: both are the sum.
Residual add_only(const at::Tensor& x, const at::Tensor& addend);

// Rotates the first 2·pairs of the last dimension of x [rows, heads, head_dim] by angles whose
// cosine and sine are [rows, 1, pairs].
at::Tensor rotate(const at::Tensor& x, const at::Tensor& cosine, const at::Tensor& sine,
                  RotaryPairs pairs);

}  // namespace taskneuron

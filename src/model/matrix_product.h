#pragma once

#include <ATen/core/Tensor.h>

#include "model/weights.h"

namespace taskneuron {

// Matrix products without autograd. On the CPU, float32 and bfloat16 run on oneDNN directly:
// LibTorch sends float32 to OpenBLAS, whose thread pool is another than LibTorch's (the two spin
// against each other unless one of them keeps to a single thread), and multiplies bfloat16 weights
// in the layout that the checkpoint has. bfloat16 weights of models that are small beside memory
// are kept in oneDNN's own layout, once per direction (weights.h: PackedWeights).

// An uninitialised [rows, width] with space for padded_rows() behind it. Products of such tensors
// run at a number of rows that few others have not run at before: oneDNN makes code for every one.
at::Tensor empty_rows(std::int64_t rows, std::int64_t width, const at::TensorOptions& options);
constexpr std::int64_t padded_rows(std::int64_t rows) { return (rows + 63) / 64 * 64; }

// x weightᵀ + bias: [rows, out].
at::Tensor product(const at::Tensor& x, const Linear& weights);
// y weight: [rows, in], the gradient of x for a gradient y of the product. add_to: if defined, the
// result is added to it in place and it is returned; not a slice, as what lies behind it is lost.
at::Tensor transposed_product(const at::Tensor& y, const Linear& weights,
                              const at::Tensor& add_to = {});

// out += aᵀ b, a weight's gradient: a [rows, r], b [rows, c]; out [r, c] contiguous, float32
// (float64 for float64), which is also what the sum over rows is formed in.
void add_gradient_product(const at::Tensor& out, const at::Tensor& a, const at::Tensor& b);

// a b for [n, r, k] and [n, k, c], any strides.
at::Tensor batched_product(const at::Tensor& a, const at::Tensor& b);

}  // namespace taskneuron

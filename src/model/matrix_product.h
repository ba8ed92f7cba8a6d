#pragma once

#include <ATen/core/Tensor.h>

namespace taskneuron {

// Matrix products without autograd, spread over LibTorch's own threads. Where LibTorch stands on
// OpenBLAS its float32 products would use a second pool of threads; the two pools spin against each
// other and halve the speed, so set_threads() leaves OpenBLAS one thread and these cut the work.

// a [m, k] · b [k, n] (+ bias [n], if defined).
at::Tensor matrix_product(const at::Tensor& a, const at::Tensor& b, const at::Tensor& bias = {});
// a [h, m, k] · b [h, k, n].
at::Tensor batched_product(const at::Tensor& a, const at::Tensor& b);

}  // namespace taskneuron

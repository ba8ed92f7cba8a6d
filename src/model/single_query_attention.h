#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace taskneuron {

// One query over the keys that it sees, on the CPU, float32 inside. All of one dtype.
struct SingleQuery {
  at::Tensor query;   // [heads, head_dim], contiguous
  at::Tensor keys;    // [keys, kv_heads, head_dim], last dimension contiguous
  at::Tensor values;  // likewise
  at::Tensor bias;    // float32 [1, keys] or [heads, 1, keys], contiguous; or undefined
  double scale = 1;
  double softcap = 0;  // scores s become softcap · tanh(s / softcap); 0: they stay as they are
  at::Tensor output;   // [heads, head_dim], contiguous; written
};

// The fused form of packed_attention for decoding, where a matrix product per head and segment
// costs more to set up than to do. Writes softmax(scale · q kᵀ + bias) v to output.
void attend_single_query(const SingleQuery& input);

}  // namespace taskneuron

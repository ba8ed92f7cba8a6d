#pragma once

#include <ATen/core/Tensor.h>

#include "model/batch_plan.h"
#include "taskneuron/model/key_value_cache.h"

namespace taskneuron {

struct AttentionInput {
  at::Tensor queries;  // [query rows, heads, head_dim]; all rows, or those that need logits
  at::Tensor keys;     // [T, kv_heads, head_dim]
  at::Tensor values;   // [T, kv_heads, head_dim]
  bool logit_rows_only = false;
  double scale = 1;
  std::int64_t layer = 0;
  KeyValueCache* cache = nullptr;  // read by segments that have a cached sequence
};

// softmax(scale · q kᵀ + bias) v for every segment of a packed batch: [query rows, heads·head_dim].
// Differentiable in queries, keys and values; cached keys and values get no gradient. Scores and
// the softmax are float32. Keys come from the segment, its prefixes and its cached sequence.
at::Tensor packed_attention(const AttentionInput& input, const BatchPlanPtr& plan);

}  // namespace taskneuron

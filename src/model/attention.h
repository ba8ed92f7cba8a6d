#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "model/batch_plan.h"
#include "model/qkv_layout.h"
#include "taskneuron/checkpoint/model_config.h"
#include "taskneuron/model/key_value_cache.h"

namespace taskneuron {

struct AttentionInput {
  // model must outlive this.
  explicit AttentionInput(const ModelConfig& model) : config(&model), layout(model) {}

  const ModelConfig* config;
  QkvLayout layout;
  // What the query, key and value matrices give, before any rotation: one tensor [T, ...] in a
  // fused layout, or three: queries [query rows, heads·head_dim], keys and values
  // [T, kv_heads·head_dim].
  std::vector<at::Tensor> projections;
  bool logit_rows_only = false;  // query rows are those that need logits, and not all
  std::int64_t layer = 0;
  KeyValueCache* cache = nullptr;  // read, and appended to, by segments with a cached sequence
};

// softmax(scale · q kᵀ + bias) v for every segment of a packed batch: [query rows, heads·head_dim].
// Queries and keys are rotated first, where the layer does that. Differentiable in the projections;
// cached keys and values get no gradient. Scores and the softmax are float32. Keys come from the
// segment, its prefixes and its cached sequence.
at::Tensor packed_attention(const AttentionInput& input, const BatchPlanPtr& plan);

}  // namespace taskneuron

#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <optional>
#include <vector>

#include "taskneuron/checkpoint/model_config.h"
#include "taskneuron/model/batch.h"
#include "taskneuron/model/decoder.h"

namespace taskneuron {

// Where the keys of one segment come from, in the order in which its tokens see them.
struct KeyRange {
  std::int64_t begin = 0;  // rows of this batch
  std::int64_t end = 0;
};

struct SegmentPlan {
  std::vector<KeyRange> keys;    // prefixes first, the segment itself last
  std::int64_t past = 0;         // tokens before the segment's first, cached ones included
  std::int64_t logit_begin = 0;  // first of its rows among the rows that need logits
  // For each of the plan's windows, what is added to the scores of the segment's queries: [tokens,
  // keys], or [heads, tokens, keys] with ALiBi; 0 or -infinity where there is no bias. Undefined
  // when every query sees every key, or every earlier one and attention runs on the CPU's loops,
  // which know that order.
  std::vector<at::Tensor> score_bias;
};

// By how much the positions of a batch turn queries and keys. Undefined: not at all.
struct Rotation {
  at::Tensor cosine;  // [T, 1, pairs] in the compute dtype
  at::Tensor sine;
  RotaryPairs pairs = RotaryPairs::kHalves;
};

// Which of a plan's rotations and windows are a layer's: layers that agree share them.
struct LayerPlan {
  std::size_t rotation = 0;
  std::size_t window = 0;
};

// Graphs share its ownership, and own nothing else of batch and model but weights.
struct BatchPlan {
  std::shared_ptr<const Batch> batch;
  std::shared_ptr<const ModelConfig> config;
  at::Tensor ids;         // int64 [T], on the device
  at::Tensor positions;   // int64 [T]
  at::Tensor logit_rows;  // int64 [N]
  bool every_row_has_logits = false;
  std::vector<SegmentPlan> segments;
  std::vector<Rotation> rotations;  // each distinct one once
  std::vector<std::optional<std::int64_t>> windows;
  std::vector<LayerPlan> layers;
  std::vector<RowSpan> all_spans;
  std::vector<RowSpan> logit_spans;

  const Rotation& rotation(std::int64_t layer) const {
    return rotations[layers.at(static_cast<std::size_t>(layer)).rotation];
  }
  const at::Tensor& score_bias(const SegmentPlan& segment, std::int64_t layer) const {
    return segment.score_bias[layers.at(static_cast<std::size_t>(layer)).window];
  }
};

// Copies the batch; config must stay as it is.
BatchPlanPtr make_plan(const Batch& batch, std::shared_ptr<const ModelConfig> config,
                       const DecoderOptions& options);

}  // namespace taskneuron

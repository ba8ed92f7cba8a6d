#include "model/memory.h"

#include <algorithm>
#include <optional>
#include <set>

#include "base/torch_compat.h"
#include "model/kernels/dispatch.h"
#include "model/kernels/table.h"
#include "model/loss.h"
#include "model/weights.h"

namespace taskneuron {

namespace {

// oneDNN's generated code for as many shapes as are kept, its scratch space, and what the tensor
// pool keeps beyond the peak; measured.
constexpr std::int64_t kProductCode = 48 << 20;

}  // namespace

MemoryModel::MemoryModel(const Checkpoint& checkpoint, const DecoderOptions& options)
    : config_(checkpoint.config()),
      element_(static_cast<std::int64_t>(c10::elementSize(options.dtype))) {
  const bool once = converts_once(checkpoint, options.dtype);
  const bool packs = packs_weights(checkpoint, options);
  plan_layers(options);
  for (const std::string& name : checkpoint.tensor_names()) {
    const at::Tensor tensor = checkpoint.tensor(name);
    const std::int64_t bytes = tensor.numel() * element_;
    if (tensor.scalar_type() != options.dtype) {
      if (once) converted_ += bytes;
      if (!once) converted_matrix_ = std::max(converted_matrix_, bytes);
    }
    if (packs && tensor.dim() == 2) packed_ += 2 * bytes;
  }
}

void MemoryModel::plan_layers(const DecoderOptions& options) {
  const ModelConfig& c = config_;
  const bool alibi = c.position == PositionKind::kAlibi;
  // The loops know which keys are earlier; every other order is a mask (model/batch_plan.cpp).
  const bool causal = kernels::covers(options.device, options.dtype);
  std::set<std::optional<std::int64_t>> windows;
  for (const LayerConfig& layer : c.each_layer) {
    windows.insert(layer.sliding_window);
    // Each norm keeps its input.
    std::int64_t extra = 0;
    if (layer.attention_output_norm == OutputNorm::kAdded) extra += c.hidden;
    if (layer.ffn_output_norm == OutputNorm::kAdded) extra += c.hidden;
    if (layer.query_key_norm != QueryKeyNorm::kNone) extra += (c.heads + c.kv_heads) * c.head_dim;
    extra_norms_ = std::max(extra_norms_, extra);
  }
  mask_ = 4 * (alibi ? c.heads : 1);
  for (const std::optional<std::int64_t>& window : windows) {
    if (alibi || !causal) {
      masked_beyond_.push_back(0);
    } else if (window) {
      masked_beyond_.push_back(*window);
    }
  }
}

std::int64_t MemoryModel::pass(Pass pass, const PassShape& shape) const {
  const ModelConfig& c = config_;
  // Units that a row runs, and rows that experts hand back, float32 once they are weighted.
  const std::int64_t taken = c.mixture.per_token;
  const std::int64_t d = c.hidden, f = taken * c.expert_width(), parts = c.gated ? 2 : 1;
  const bool mixture = c.mixture.experts > 1;
  const std::int64_t experts = mixture ? taken * d * (element_ * 3 + 4) : 0;
  const std::int64_t qkv = (c.heads + 2 * c.kv_heads) * c.head_dim;
  // Per row. Norms keep their input, attention its projections and log-sums, the FFN what its
  // activation is applied to.
  // A trained matrix keeps its input too.
  const std::int64_t inputs = shape.trains_weights ? element_ * (3 * d + f) : 0;
  const std::int64_t kept =
      element_ * (2 * d + extra_norms_ + qkv + parts * f) + 4 * (c.heads + 4) + inputs + experts;
  const std::int64_t forward = element_ * (6 * d + std::max(qkv + d, (parts + 1) * f)) + experts;
  const std::int64_t backward = element_ * (4 * d + std::max(2 * qkv, (parts + 2) * f)) + experts;
  std::int64_t rows = forward;
  // The graph starts within the first layer and is narrow in the last, which is one layer less.
  if (pass == Pass::kBackward) rows = (c.layers - 1) * kept + std::max(forward, backward);
  if (pass == Pass::kRecomputed) {
    rows = c.layers * element_ * d + kept + std::max(forward, backward);
  }
  const std::int64_t slice = std::min(shape.logit_rows, kMaxLogits / c.vocabulary + 1);
  // A cap's slope is as large as the logits.
  const std::int64_t logits = slice * c.vocabulary * element_ * (c.logit_softcap > 0 ? 2 : 1);
  const std::int64_t features = shape.logit_rows * d * element_ * 4;
  const std::int64_t keys = kernels::padded(shape.longest) * kernels::padded(c.head_dim);
  const std::int64_t scratch = at::get_num_threads() *
                               (kernels::attention_scratch(shape.longest, c.head_dim) + 2 * keys) *
                               4;
  // Relevance by example before it is added up: float32 sums, magnitudes and their float64 copies.
  const std::int64_t sums = pass == Pass::kForward ? 0 : shape.examples * c.expert_width() * 32;
  const auto masks_of_text =
      std::count_if(masked_beyond_.begin(), masked_beyond_.end(),
                    [&](std::int64_t beyond) { return shape.longest > beyond; });
  const std::int64_t masks = shape.rows * shape.longest * mask_ * masks_of_text;
  return shape.rows * rows + masks + logits + features + scratch + sums + converted_matrix_ +
         kProductCode;
}

std::int64_t MemoryModel::cache(std::int64_t tokens) const {
  constexpr std::int64_t kGrowth = 2;  // caches double when they are full
  return kGrowth * tokens * config_.layers * 2 * config_.kv_heads * config_.head_dim * element_;
}

}  // namespace taskneuron

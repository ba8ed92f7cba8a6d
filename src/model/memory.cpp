#include "model/memory.h"

#include <algorithm>

#include "base/torch_compat.h"
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

std::int64_t MemoryModel::pass(Pass pass, const PassShape& shape) const {
  const ModelConfig& c = config_;
  const std::int64_t d = c.hidden, f = c.ffn_width, parts = c.gated ? 2 : 1;
  const std::int64_t qkv = (c.heads + 2 * c.kv_heads) * c.head_dim;
  // Per row. Norms keep their input, attention its projections and log-sums, the FFN what its
  // activation is applied to.
  // A trained matrix keeps its input too.
  const std::int64_t inputs = shape.trains_weights ? element_ * (3 * d + f) : 0;
  const std::int64_t kept = element_ * (2 * d + qkv + parts * f) + 4 * (c.heads + 4) + inputs;
  const std::int64_t forward = element_ * (6 * d + std::max(qkv + d, (parts + 1) * f));
  const std::int64_t backward = element_ * (4 * d + std::max(2 * qkv, (parts + 2) * f));
  std::int64_t rows = forward;
  // The graph starts within the first layer and is narrow in the last, which is one layer less.
  if (pass == Pass::kBackward) rows = (c.layers - 1) * kept + std::max(forward, backward);
  if (pass == Pass::kRecomputed) {
    rows = c.layers * element_ * d + kept + std::max(forward, backward);
  }
  const std::int64_t slice = std::min(shape.logit_rows, kMaxLogits / c.vocabulary + 1);
  const std::int64_t logits = slice * c.vocabulary * element_;
  const std::int64_t features = shape.logit_rows * d * element_ * 4;
  const std::int64_t keys = kernels::padded(shape.longest) * kernels::padded(c.head_dim);
  const std::int64_t scratch = at::get_num_threads() *
                               (kernels::attention_scratch(shape.longest, c.head_dim) + 2 * keys) *
                               4;
  // Relevance by example before it is added up: float32 sums, magnitudes and their float64 copies.
  const std::int64_t sums = pass == Pass::kForward ? 0 : shape.examples * f * 32;
  return shape.rows * rows + logits + features + scratch + sums + converted_matrix_ + kProductCode;
}

std::int64_t MemoryModel::cache(std::int64_t tokens) const {
  constexpr std::int64_t kGrowth = 2;  // caches double when they are full
  return kGrowth * tokens * config_.layers * 2 * config_.kv_heads * config_.head_dim * element_;
}

}  // namespace taskneuron

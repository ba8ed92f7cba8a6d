#include "model/memory.h"

#include <algorithm>

#include "base/torch_compat.h"
#include "model/weights.h"

namespace taskneuron {

MemoryNeed memory_need(const Checkpoint& checkpoint, at::ScalarType dtype, std::int64_t tokens) {
  const ModelConfig& config = checkpoint.config();
  const auto element = static_cast<std::int64_t>(c10::elementSize(dtype));
  MemoryNeed need;
  if (converts_once(checkpoint, dtype)) {
    for (const std::string& name : checkpoint.tensor_names()) {
      const at::Tensor tensor = checkpoint.tensor(name);
      if (tensor.scalar_type() != dtype) need.converted_weights += tensor.numel() * element;
    }
  }
  const std::int64_t attention_width = (config.heads + 2 * config.kv_heads) * config.head_dim;
  const std::int64_t ffn_parts = config.gated ? 2 : 1;
  // Attention probabilities, for texts of a typical length.
  const std::int64_t typical_keys = std::min<std::int64_t>(256, config.max_positions);
  const std::int64_t probabilities = config.heads * typical_keys;
  // Kept per token and layer until the backward pass: what norms, attention and the FFN save.
  const std::int64_t kept =
      2 * config.hidden + 2 * attention_width + probabilities + ffn_parts * config.ffn_width;
  const std::int64_t transient =
      6 * config.hidden + 2 * attention_width + (ffn_parts + 2) * config.ffn_width + probabilities;
  const std::int64_t logits =
      std::min<std::int64_t>(3 * (64 << 20), 3 * 4 * tokens * config.vocabulary);
  need.evaluate = need.converted_weights + tokens * transient * element + logits;
  need.detect = need.evaluate + config.layers * tokens * kept * element;
  return need;
}

}  // namespace taskneuron

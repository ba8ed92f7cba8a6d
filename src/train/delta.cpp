#include "taskneuron/train/delta.h"

#include "base/torch_compat.h"

namespace taskneuron {

std::int64_t Delta::values() const {
  std::int64_t count = 0;
  for (const auto& item : tensors) count += item.second.value.numel();
  return count;
}

Delta make_delta(const Checkpoint& base, const TrainableModel& model) {
  Delta delta;
  delta.base_hash = base.hash();
  delta.tensors = trained_tensors(base, model);
  const bool computed_wide = model.decoder.options().dtype != at::kBFloat16;
  for (auto& [name, tensor] : delta.tensors) {
    const bool wide = computed_wide || base.tensor(name).scalar_type() == at::kFloat;
    tensor.value = tensor.value.to(wide ? at::kFloat : at::kBFloat16).contiguous();
  }
  return delta;
}

}  // namespace taskneuron

#include <fmt/format.h>

#include <cmath>
#include <cstdlib>
#include <set>

#include "base/torch_compat.h"
#include "taskneuron/base/error.h"
#include "taskneuron/train/delta.h"

namespace taskneuron {

DeltaArgument parse_delta_argument(const std::string& text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos || std::filesystem::exists(text)) return {text, 1};
  DeltaArgument argument{text.substr(0, colon), 1};
  const std::string number = text.substr(colon + 1);
  char* end = nullptr;
  argument.scale = std::strtod(number.c_str(), &end);
  if (number.empty() || *end != '\0' || !std::isfinite(argument.scale)) {
    throw UsageError("delta", text, "PATH or PATH:SCALE, as D:0.5 or D:-1",
                     fmt::format("has the scale '{}', which is no number", number));
  }
  return argument;
}

std::map<std::string, at::Tensor> apply_deltas(const Checkpoint& base,
                                               const std::vector<ScaledDelta>& deltas) {
  const at::NoGradGuard no_gradients;
  std::set<std::string> names;
  for (const ScaledDelta& one : deltas) {
    for (const auto& item : one.delta.tensors) names.insert(item.first);
  }
  std::map<std::string, at::Tensor> result;
  for (const std::string& name : names) {
    const at::Tensor stored = base.tensor(name);
    at::Tensor exact = stored.to(at::kFloat, /*non_blocking=*/false, /*copy=*/true);
    // Changes are added up before the weights, so that opposite ones cancel to the last bit.
    at::Tensor change = at::zeros(exact.sizes(), at::kFloat);
    at::Tensor touched = at::zeros(exact.sizes(), at::kInt);
    bool wide = stored.scalar_type() == at::kFloat;
    for (const ScaledDelta& one : deltas) {
      const auto found = one.delta.tensors.find(name);
      if (found == one.delta.tensors.end()) continue;
      const TrainedTensor& tensor = found->second;
      const at::Tensor value = tensor.value.to(at::kFloat);
      const at::Tensor before = stored.index_select(tensor.axis, tensor.units).to(at::kFloat);
      change.index_add_(tensor.axis, tensor.units, (value - before) * one.scale);
      exact.index_copy_(tensor.axis, tensor.units, value);
      touched.index_add_(tensor.axis, tensor.units,
                         at::full(value.sizes(), one.scale == 1 ? 1 : 2, at::kInt));
      wide = wide || tensor.value.scalar_type() == at::kFloat || one.scale != 1;
    }
    const at::Tensor merged = at::where(touched == 1, exact, stored.to(at::kFloat) + change);
    result[name] = wide ? merged : merged.to(stored.scalar_type());
  }
  return result;
}

}  // namespace taskneuron

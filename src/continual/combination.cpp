#include "taskneuron/continual/combination.h"

#include "base/torch_compat.h"
#include "taskneuron/base/error.h"

namespace taskneuron {

StageChange change_of(const Checkpoint& before, const Delta& delta) {
  StageChange change;
  for (const auto& [name, tensor] : delta.tensors) {
    StageChange::Tensor& one = change.tensors[name];
    one.axis = tensor.axis;
    one.units = tensor.units;
    one.before = before.tensor(name).index_select(tensor.axis, tensor.units).to(at::kFloat);
    one.after = tensor.value.to(at::kFloat);
  }
  return change;
}

Combine parse_combine(const std::string& name) {
  if (name == "delta") return Combine::kDelta;
  if (name == "literal") return Combine::kLiteral;
  throw UsageError("combine", name, "delta or literal");
}

std::map<std::string, at::Tensor> combined(const Checkpoint& base,
                                           const std::vector<StageChange>& changes,
                                           const std::vector<double>& weights, Combine combine) {
  TN_CHECK(changes.size() == weights.size());
  std::map<std::string, at::Tensor> found;
  // The float32 copy of a tensor of the base, made when it is first touched.
  const auto place = [&](const std::string& name) -> at::Tensor& {
    at::Tensor& tensor = found[name];
    if (!tensor.defined()) tensor = base.tensor(name).to(at::kFloat, false, /*copy=*/true);
    return tensor;
  };
  if (combine == Combine::kLiteral) {
    for (const StageChange& change : changes) {
      for (const auto& [name, one] : change.tensors) {
        place(name).index_fill_(one.axis, one.units, 0);
      }
    }
  }
  for (std::size_t k = 0; k < changes.size(); ++k) {
    for (const auto& [name, one] : changes[k].tensors) {
      const at::Tensor moved = combine == Combine::kLiteral ? one.after : one.after - one.before;
      place(name).index_add_(one.axis, one.units, moved * weights[k]);
    }
  }
  return found;
}

}  // namespace taskneuron

// What training made of a model, tensor by tensor of the checkpoint.
#include <algorithm>

#include "base/check.h"
#include "base/torch_compat.h"
#include "taskneuron/model/trainable.h"

namespace taskneuron {

namespace {

// Joins what was trained of one tensor: parts along the same axis, units ascending.
void join(std::map<std::string, TrainedTensor>& all, TrainedTensor part) {
  const auto [place, is_new] = all.emplace(part.tensor, part);
  if (is_new) return;
  TrainedTensor& known = place->second;
  TN_CHECK_EQ(known.axis, part.axis);
  const at::Tensor units = at::cat({known.units, part.units});
  const at::Tensor value = at::cat({known.value, part.value}, known.axis);
  const at::Tensor order = units.argsort();
  known.units = units.index_select(0, order);
  known.value = value.index_select(known.axis, order);
}

bool is_adapter_part(const TrainableModel& model, const ParameterPtr& parameter) {
  for (const auto& adapter : model.adapters) {
    if (adapter->a == parameter || adapter->b == parameter) return true;
  }
  return false;
}

TrainedTensor adapted(const Checkpoint& checkpoint, const Adapter& adapter) {
  const at::Tensor stored = checkpoint.tensor(adapter.tensor);
  at::Tensor base = adapter.transposed ? stored.t() : stored;
  const at::Tensor added = at::mm(adapter.b->master, adapter.a->master).mul_(adapter.scale).cpu();
  const at::Tensor units =
      (adapter.outputs.defined() ? adapter.outputs.cpu() : at::arange(added.size(0), at::kLong)) +
      adapter.first_output;
  TrainedTensor result;
  result.tensor = adapter.tensor;
  result.axis = adapter.transposed ? 1 : 0;
  result.units = units;
  result.value = base.index_select(0, units).to(added.scalar_type()) + added;
  if (adapter.transposed) result.value = result.value.t();
  return result;
}

}  // namespace

std::map<std::string, TrainedTensor> trained_tensors(const Checkpoint& checkpoint,
                                                     const TrainableModel& model) {
  std::map<std::string, TrainedTensor> all;
  for (const ParameterPtr& parameter : model.parameters) {
    if (is_adapter_part(model, parameter)) continue;
    join(all, {parameter->tensor, parameter->axis, parameter->stored_units().cpu(),
               parameter->stored_value().cpu()});
  }
  for (const auto& adapter : model.adapters) {
    join(all, adapted(checkpoint, *adapter));
  }
  return all;
}

}  // namespace taskneuron

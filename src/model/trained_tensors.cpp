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
  for (const AdapterPtr& adapter : model.adapters) {
    if (adapter->a == parameter || adapter->b == parameter) return true;
  }
  return false;
}

// Outputs of the stored matrix that an adapter adds to, in its order.
at::Tensor stored_outputs(const Adapter& adapter) {
  const at::Tensor outputs = adapter.outputs.defined()
                                 ? adapter.outputs.cpu()
                                 : at::arange(adapter.b->master.size(0), at::kLong);
  return outputs + adapter.first_output;
}

// The whole of a tensor some of whose units were trained along the other axis.
TrainedTensor whole(const at::Tensor& stored, const TrainedTensor& part, int axis) {
  at::Tensor value = stored.to(part.value.scalar_type(), /*non_blocking=*/false, /*copy=*/true);
  value.index_copy_(part.axis, part.units, part.value);
  return {part.tensor, axis, at::arange(stored.size(axis), at::kLong), value};
}

// Adds what an adapter makes of its matrix to what others made of the same.
void adapt(std::map<std::string, TrainedTensor>& all, const Checkpoint& checkpoint,
           const Adapter& adapter) {
  const bool turns = adapter.transposed;
  const at::Tensor added = at::mm(adapter.b->master, adapter.a->master).mul_(adapter.scale).cpu();
  const at::Tensor outputs = stored_outputs(adapter);
  const at::Tensor stored = checkpoint.tensor(adapter.tensor);
  const at::Tensor base = (turns ? stored.t() : stored).index_select(0, outputs);
  TrainedTensor& known = all[adapter.tensor];
  const int axis = turns ? 1 : 0;
  if (known.units.defined() && known.axis != axis) known = whole(stored, known, axis);
  known.tensor = adapter.tensor;
  known.axis = axis;
  if (known.units.defined()) {
    // Where nothing was trained yet, the base stands.
    const at::Tensor before = turns ? known.value.t() : known.value;
    const at::Tensor units = std::get<0>(at::_unique(at::cat({known.units, outputs})));
    at::Tensor value = at::empty({units.numel(), before.size(1)}, before.options());
    value.index_copy_(0, at::searchsorted(units, outputs), base.to(before.scalar_type()));
    value.index_copy_(0, at::searchsorted(units, known.units), before);
    known.units = units;
    known.value = value;
  } else {
    known.units = outputs;
    known.value = base.to(added.scalar_type());
  }
  known.value.index_add_(0, at::searchsorted(known.units, outputs), added);
  if (turns) known.value = known.value.t();
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
  for (const AdapterPtr& adapter : model.adapters) adapt(all, checkpoint, *adapter);
  return all;
}

}  // namespace taskneuron

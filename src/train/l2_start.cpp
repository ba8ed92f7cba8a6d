#include "taskneuron/train/l2_start.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/torch_compat.h"
#include "taskneuron/base/error.h"

namespace taskneuron {

namespace {

const std::string kStart = "start.";

}  // namespace

double L2Start::add(const StepView& step) {
  double sum = 0;
  for (const ParameterPtr& parameter : step.model.parameters) {
    start_.add_missing(*parameter, parameter->master);
    const at::Tensor moved = parameter->master - start_.of(*parameter);
    parameter->gradient.add_(moved, lambda_);
    sum += moved.square().sum(at::kDouble).item<double>();
  }
  return lambda_ / 2 * sum;
}

NamedTensors L2Start::state() const { return start_.tensors(kStart); }

void L2Start::restore(const TermState& state, const TrainableModel& model) {
  start_ = UnitValues::read(state, kStart);
  if (start_.empty()) return;  // saved before the first step
  for (const ParameterPtr& parameter : model.parameters) {
    if (start_.holds(*parameter)) continue;
    throw Error(fmt::format("no start of '{}' that fits [{}] of it, which are trained",
                            parameter->key(), fmt::join(parameter->master.sizes(), ", ")));
  }
}

}  // namespace taskneuron

#include "taskneuron/continual/quadratic_anchor.h"

#include <fmt/format.h>

#include "base/torch_compat.h"
#include "taskneuron/base/error.h"

namespace taskneuron {

namespace {

const std::string kImportance = "importance.";
const std::string kAnchor = "anchor.";
const std::string kSpread = "spread";

}  // namespace

void QuadraticAnchor::remember(const TrainableModel& model, const UnitValues& fisher) {
  for (const ParameterPtr& parameter : model.parameters) {
    if (!fisher.knows(*parameter)) continue;
    const auto wide = [&](const UnitValues& values) {
      return values.of_or_zero(*parameter).to(parameter->master.device(), at::kDouble);
    };
    const at::Tensor added = wide(fisher);
    if (!at::isfinite(added).all().item<bool>()) {
      throw NonFiniteError(
          fmt::format("the Fisher information of '{}' is not finite", parameter->key()));
    }
    const at::Tensor before = wide(importance_), mean = wide(anchor_);
    const at::Tensor after = before + added;
    const at::Tensor share = at::where(after > 0, added / after, at::zeros_like(after));
    const at::Tensor moved = parameter->master.to(at::kDouble) - mean;
    spread_ += (before * share * moved.square()).sum().item<double>();
    const at::ScalarType kept = parameter->master.scalar_type();
    importance_.put(*parameter, after.to(kept));
    anchor_.put(*parameter, (mean + share * moved).to(kept));
  }
}

double QuadraticAnchor::add(const StepView& step) {
  if (importance_.empty()) return 0;
  double sum = 0;
  for (const ParameterPtr& parameter : step.model.parameters) {
    if (!importance_.knows(*parameter)) continue;
    const at::Tensor moved = parameter->master - anchor_.of_or_zero(*parameter);
    const at::Tensor pull = importance_.of_or_zero(*parameter) * moved;
    parameter->gradient.add_(pull, lambda_);
    sum += (pull * moved).sum(at::kDouble).item<double>();
  }
  return lambda_ / 2 * (sum + spread_);
}

NamedTensors QuadraticAnchor::state() const {
  NamedTensors state = importance_.tensors(kImportance);
  for (auto& tensor : anchor_.tensors(kAnchor)) state.push_back(std::move(tensor));
  state.emplace_back(kSpread, at::full({1}, spread_, at::kDouble));
  return state;
}

void QuadraticAnchor::restore(const TermState& state, const TrainableModel& model) {
  const auto found = state.find(kSpread);
  if (found == state.end() || found->second.numel() != 1 ||
      found->second.scalar_type() != at::kDouble) {
    throw Error(fmt::format("tensor '{}' is missing, or not one float64", kSpread));
  }
  TermState importance, anchor;
  for (const auto& [name, tensor] : state) {
    const at::Device device =
        model.parameters.empty() ? tensor.device() : model.parameters.front()->master.device();
    if (name.rfind(kImportance, 0) == 0) {
      importance[name] = tensor.to(device);
    } else if (name.rfind(kAnchor, 0) == 0) {
      anchor[name] = tensor.to(device);
    } else if (name != kSpread) {
      throw Error(fmt::format("tensor '{}' is none of an anchor's", name));
    }
  }
  importance_ = UnitValues::read(importance, kImportance);
  anchor_ = UnitValues::read(anchor, kAnchor);
  spread_ = found->second.item<double>();
  for (const ParameterPtr& parameter : model.parameters) {
    if (importance_.knows(*parameter) != anchor_.knows(*parameter)) {
      throw Error(fmt::format("of '{}' there is an importance or an anchor, but not both",
                              parameter->key()));
    }
    importance_.of_or_zero(*parameter);  // throws where it does not fit
    anchor_.of_or_zero(*parameter);
  }
}

}  // namespace taskneuron

#include "taskneuron/continual/masters.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/torch_compat.h"
#include "taskneuron/base/error.h"

namespace taskneuron {

namespace {

std::string name_of(const Parameter& parameter) { return "master." + parameter.key(); }

}  // namespace

NamedTensors masters_of(const TrainableModel& model) {
  NamedTensors tensors;
  for (const ParameterPtr& parameter : model.parameters) {
    tensors.emplace_back(name_of(*parameter), parameter->master.cpu());
  }
  return tensors;
}

void set_masters(const TrainableModel& model, const TermState& masters) {
  for (const ParameterPtr& parameter : model.parameters) {
    const std::string name = name_of(*parameter);
    const auto found = masters.find(name);
    if (found == masters.end() || found->second.sizes() != parameter->master.sizes()) {
      throw Error(fmt::format("'{}' of an earlier stage is missing or does not fit [{}]", name,
                              fmt::join(parameter->master.sizes(), ", ")));
    }
    parameter->master.copy_(found->second);
    parameter->store();
  }
}

}  // namespace taskneuron

#include "model/frozen_adapters.h"

#include <fmt/format.h>

#include <map>
#include <type_traits>

#include "base/torch_compat.h"
#include "model/modules.h"
#include "taskneuron/base/error.h"

namespace taskneuron {

namespace {

// By the tensor that a matrix is of, and its first output there.
using Matrices = std::map<std::pair<std::string, std::int64_t>, Linear*>;

Matrices matrices_of(DecoderWeights& weights) {
  Matrices matrices;
  for_each_module(weights, [&](ModuleId, auto& module) {
    if constexpr (std::is_same_v<std::decay_t<decltype(module)>, Linear>) {
      if (!module.weight.defined()) return;
      matrices[{module.name + ".weight", module.first_output}] = &module;
    }
  });
  return matrices;
}

Linear& matrix_of(const Matrices& matrices, const Adapter& adapter) {
  const auto found = matrices.find({adapter.tensor, adapter.first_output});
  if (found != matrices.end()) return *found->second;
  throw Error(
      fmt::format("an earlier adapter is of '{}', from output {} on; the model has no such matrix",
                  adapter.tensor, adapter.first_output));
}

void require_fit(const Adapter& adapter, const Linear& linear) {
  const std::int64_t in = linear.weight.size(1), out = linear.weight.size(0);
  const std::int64_t adapted = adapter.b->master.size(0);
  const bool inside =
      adapter.outputs.defined()
          ? adapter.outputs.numel() == adapted && adapter.outputs.max().item<std::int64_t>() < out
          : adapted == out;
  if (adapter.a->master.size(1) == in && inside) return;
  throw Error(
      fmt::format("an earlier adapter of '{}' turns {} inputs into {} outputs; the matrix has {} "
                  "and {}",
                  adapter.tensor, adapter.a->master.size(1), adapted, in, out));
}

AdapterPtr frozen_copy(const Adapter& adapter, const at::TensorOptions& compute) {
  auto copy = std::make_shared<Adapter>(adapter);
  copy->frozen = true;
  for (ParameterPtr* matrix : {&copy->a, &copy->b}) {
    auto own = std::make_shared<Parameter>(**matrix);
    const at::Tensor& master = own->master;
    own->master = master.to(compute.device(), master.scalar_type(), /*non_blocking=*/false,
                            /*copy=*/true);
    own->places = {at::empty(master.sizes(), compute)};
    own->gradient = at::Tensor();
    own->store();
    *matrix = own;
  }
  if (copy->outputs.defined()) copy->outputs = copy->outputs.to(compute.device());
  return copy;
}

}  // namespace

std::vector<AdapterPtr> add_frozen_adapters(DecoderWeights& weights,
                                            const std::vector<AdapterPtr>& adapters,
                                            at::ScalarType dtype) {
  std::vector<AdapterPtr> copies;
  if (adapters.empty()) return copies;
  const Matrices matrices = matrices_of(weights);
  std::map<Linear*, std::vector<AdapterPtr>> of_matrix;
  for (const AdapterPtr& adapter : adapters) {
    Linear& linear = matrix_of(matrices, *adapter);
    require_fit(*adapter, linear);
    copies.push_back(frozen_copy(*adapter, linear.weight.options().dtype(dtype)));
    of_matrix[&linear].push_back(copies.back());
  }
  for (auto& [linear, own] : of_matrix) {
    auto training = linear->training ? std::make_shared<LinearTraining>(*linear->training)
                                     : std::make_shared<LinearTraining>();
    training->adapters.insert(training->adapters.begin(), own.begin(), own.end());
    linear->training = training;
  }
  return copies;
}

}  // namespace taskneuron

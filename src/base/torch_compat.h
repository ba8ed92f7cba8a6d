#pragma once

// Everything that differs between the LibTorch versions we support (1.13 to current 2.x), and
// nothing else.

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/util/Optional.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/autograd/grad_mode.h>

#include <optional>

namespace taskneuron {

// c10::optional became std::optional in 2.5; LibTorch 1.13 refuses undefined tensors as arguments
// of an autograd function, so optional tensors travel as this.
using OptionalTensor = c10::optional<at::Tensor>;

inline OptionalTensor optional_tensor(const at::Tensor& tensor) {
  return tensor.defined() ? OptionalTensor(tensor) : OptionalTensor();
}

inline at::Tensor tensor_or_undefined(const OptionalTensor& tensor) {
  return tensor.has_value() ? *tensor : at::Tensor();
}

// Type in which sums and exponentials of values of this type are formed.
inline at::ScalarType wide_type(const at::Tensor& tensor) {
  return tensor.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
}

}  // namespace taskneuron

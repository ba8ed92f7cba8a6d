#pragma once

// Everything that differs between the LibTorch versions we support (1.13 to current 2.x), and
// nothing else.

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/Allocator.h>
#include <c10/util/Optional.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/autograd/grad_mode.h>

#include <cstring>
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

// c10::Allocator of every version: up to 2.2 `allocate` is const, later it is not and `copy_data`
// is asked for. Whichever LibTorch has is what the functions here override.
class AnyAllocator : public c10::Allocator {
 public:
  c10::DataPtr allocate(std::size_t bytes) { return take(bytes); }
  c10::DataPtr allocate(std::size_t bytes) const { return take(bytes); }
  void copy_data(void* to, const void* from, std::size_t bytes) const {
    std::memcpy(to, from, bytes);
  }

 protected:
  virtual c10::DataPtr take(std::size_t bytes) const = 0;
};

}  // namespace taskneuron

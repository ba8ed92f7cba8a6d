#pragma once

#include "base/torch_compat.h"
#include "model/kernels/table.h"
#include "taskneuron/base/error.h"

// Between tensors and the loops of table.h.
namespace taskneuron::kernels {

// Whether the loops run this type on this device. Off everywhere after enable(false), which leaves
// LibTorch's own operations, the ones that other devices use: for tests and measurements.
bool covers(at::Device device, at::ScalarType type);
inline bool covers(const at::Tensor& x) { return covers(x.device(), x.scalar_type()); }
void enable(bool enabled);

template <typename T>
T* data(const at::Tensor& tensor) {
  return tensor.defined() ? reinterpret_cast<T*>(tensor.data_ptr()) : nullptr;
}

// action(T{}) with the loops' type for x's.
template <typename Action>
void for_type_of(const at::Tensor& x, const Action& action) {
  switch (x.scalar_type()) {
    case at::kFloat: return action(float{});
    case at::kDouble: return action(double{});
    case at::kBFloat16: return action(Bfloat16{});
    default: TN_CHECK(false);
  }
}

// body(begin, end) over rows of `width` values, in threads where that is worth it.
template <typename Body>
void over_rows(std::int64_t rows, std::int64_t width, const Body& body) {
  constexpr std::int64_t kGrain = 16384;
  at::parallel_for(0, rows, std::max<std::int64_t>(1, kGrain / std::max<std::int64_t>(1, width)),
                   body);
}

}  // namespace taskneuron::kernels

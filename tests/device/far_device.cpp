// A device that is not the CPU, for machines without one: PyTorch's `privateuseone`, preloaded into
// the program (tests/device/device.py). Its memory is this machine's under addresses that nobody
// can read, so that a program which reads a device's memory ends by SIGSEGV, as it would with a
// GPU's. Its operations are the CPU's on copies; they take tensors of one device alone, as CUDA's
// do, but for single numbers and indices.
#include <ATen/EmptyTensor.h>
#include <ATen/Functions.h>
#include <ATen/native/CPUFallback.h>
#include <ATen/ops/_reshape_alias_native.h>
#include <ATen/ops/as_strided_native.h>
#include <ATen/ops/view_native.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/library.h>

#include <cstdint>
#include <cstdlib>
#include <new>
#include <string>

#include "base/torch_compat.h"

namespace {

constexpr auto kFar = c10::DeviceType::PrivateUse1;

// No address of x86-64 or AArch64 has this bit alone among its upper ones.
constexpr std::uintptr_t kOutOfReach = std::uintptr_t{1} << 62;

void* other_side(const void* address) {
  const auto number = reinterpret_cast<std::uintptr_t>(address);
  return number == 0 ? nullptr : reinterpret_cast<void*>(number ^ kOutOfReach);
}

void release(void* near) { std::free(near); }

class FarAllocator : public taskneuron::AnyAllocator {
 protected:
  c10::DataPtr take(std::size_t bytes) const override {
    constexpr std::size_t kAlignment = 64;
    const std::size_t whole = (bytes + kAlignment - 1) / kAlignment * kAlignment;
    void* near = whole == 0 ? nullptr : std::aligned_alloc(kAlignment, whole);
    if (whole != 0 && near == nullptr) throw std::bad_alloc();
    return {other_side(near), near, &release, c10::Device(kFar, 0)};
  }
};

FarAllocator& allocator() {
  static FarAllocator the;
  return the;
}
REGISTER_ALLOCATOR(kFar, &allocator());

class FarGuard : public c10::impl::DeviceGuardImplInterface {
 public:
  c10::DeviceType type() const override { return kFar; }
  c10::Device exchangeDevice(c10::Device) const override { return own(); }
  c10::Device getDevice() const override { return own(); }
  void setDevice(c10::Device) const override {}
  void uncheckedSetDevice(c10::Device) const noexcept override {}
  c10::Stream getStream(c10::Device) const noexcept override { return stream(); }
  c10::Stream exchangeStream(c10::Stream) const noexcept override { return stream(); }
  c10::DeviceIndex deviceCount() const noexcept override { return 1; }

 private:
  static c10::Device own() { return {kFar, 0}; }
  static c10::Stream stream() { return c10::Stream(c10::Stream::DEFAULT, own()); }
};
C10_REGISTER_GUARD_IMPL(PrivateUse1, FarGuard);

bool is_far(const at::Tensor& tensor) { return tensor.device().type() == kFar; }

// The tensor's values as one of the CPU, in the same memory.
at::Tensor near(const at::Tensor& tensor) {
  if (!is_far(tensor)) return tensor;
  return at::from_blob(other_side(tensor.data_ptr()), tensor.sizes(), tensor.strides(),
                       at::TensorOptions(tensor.scalar_type()));
}

at::Tensor empty(at::IntArrayRef sizes, c10::optional<at::ScalarType> dtype,
                 c10::optional<at::Layout>, c10::optional<at::Device>, c10::optional<bool>,
                 c10::optional<at::MemoryFormat> format) {
  return at::detail::empty_generic(sizes, &allocator(),
                                   c10::DispatchKeySet(c10::DispatchKey::PrivateUse1),
                                   c10::dtype_or_default(dtype), format);
}

at::Tensor empty_strided(at::IntArrayRef sizes, at::IntArrayRef strides,
                         c10::optional<at::ScalarType> dtype, c10::optional<at::Layout>,
                         c10::optional<at::Device>, c10::optional<bool>) {
  return at::detail::empty_strided_generic(sizes, strides, &allocator(),
                                           c10::DispatchKeySet(c10::DispatchKey::PrivateUse1),
                                           c10::dtype_or_default(dtype));
}

at::Tensor copy_from(const at::Tensor& from, const at::Tensor& to, bool) {
  near(to).copy_(near(from));
  return to;
}

at::Tensor copy_from_and_resize(const at::Tensor& from, const at::Tensor& to) {
  // Outputs that an operation allocates begin empty.
  if (from.sizes() != to.sizes()) {
    TORCH_CHECK(to.numel() == 0, "an output of another size: ", from.sizes(), " into ", to.sizes());
    const at::Tensor fresh = at::empty(from.sizes(), to.options());
    to.unsafeGetTensorImpl()->set_storage_keep_dtype(fresh.storage());
    to.unsafeGetTensorImpl()->set_sizes_and_strides(fresh.sizes(), fresh.strides());
  }
  return copy_from(from, to, false);
}

at::Tensor as_strided(const at::Tensor& self, at::IntArrayRef sizes, at::IntArrayRef strides,
                      c10::optional<std::int64_t> offset) {
  return at::native::as_strided_tensorimpl(self, sizes, strides, offset);
}

using Indices = c10::List<c10::optional<at::Tensor>>;

// Indices may be of either device, as CUDA takes them; the CPU's operations know only its own.
Indices near_indices(const Indices& indices) {
  Indices result;
  for (const c10::optional<at::Tensor>& one : indices) {
    result.push_back(one.has_value() ? c10::optional<at::Tensor>(near(*one)) : one);
  }
  return result;
}

void on_copies(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  const std::size_t count = op.schema().arguments().size();
  bool any_far = false, any_near = false;
  const auto look = [&](const at::Tensor& tensor) {
    if (!tensor.defined()) return;
    any_far = any_far || is_far(tensor);
    any_near = any_near || (!is_far(tensor) && tensor.dim() > 0);
  };
  for (std::size_t i = stack->size() - count; i < stack->size(); ++i) {
    c10::IValue& value = (*stack)[i];
    if (value.isTensor()) look(value.toTensor());
    if (value.isTensorList()) {
      for (const at::Tensor& tensor : value.toTensorVector()) look(tensor);
    }
    if (value.isOptionalTensorList()) value = near_indices(value.toOptionalTensorList());
  }
  TORCH_CHECK(!any_far || !any_near, op.schema().name(), ": tensors of two devices");
  at::native::cpu_fallback(op, stack);
}

TORCH_LIBRARY_IMPL(_, PrivateUse1, library) {
  library.fallback(torch::CppFunction::makeFromBoxedFunction<&on_copies>());
}

TORCH_LIBRARY_IMPL(aten, PrivateUse1, library) {
  library.impl("empty.memory_format", &empty);
  library.impl("empty_strided", &empty_strided);
  library.impl("_copy_from", &copy_from);
  library.impl("_copy_from_and_resize", &copy_from_and_resize);
  library.impl("as_strided", &as_strided);
  library.impl("view", TORCH_FN(at::native::view));
  library.impl("_reshape_alias", TORCH_FN(at::native::_reshape_alias));
}

}  // namespace

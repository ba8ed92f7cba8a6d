#include "model/matrix_product.h"

#include <ATen/core/LegacyTypeDispatch.h>

#include "base/torch_compat.h"
#include "model/onednn_product.h"
#include "taskneuron/base/compute.h"

namespace taskneuron {

namespace {

constexpr std::int64_t kMinRows = 16;  // fewer are not worth a thread

bool cut_by_hand(const at::Tensor& a) {
  return a.device().is_cpu() && a.scalar_type() != at::kBFloat16 && uses_openblas();
}

void product_into(at::Tensor out, const at::Tensor& a, const at::Tensor& b,
                  const at::Tensor& bias) {
  if (bias.defined()) {
    at::addmm_out(out, bias, a, b);
  } else {
    at::mm_out(out, a, b);
  }
}

// By LibTorch, rows shared out over its threads where OpenBLAS has only one.
at::Tensor libtorch_product(const at::Tensor& a, const at::Tensor& b, const at::Tensor& bias) {
  if (!cut_by_hand(a)) return bias.defined() ? at::addmm(bias, a, b) : at::mm(a, b);
  at::Tensor out = at::empty({a.size(0), b.size(1)}, a.options());
  const std::int64_t grain =
      std::max(kMinRows, (a.size(0) + at::get_num_threads() - 1) / at::get_num_threads());
  at::parallel_for(0, a.size(0), grain, [&](std::int64_t begin, std::int64_t end) {
    const at::AutoDispatchBelowADInplaceOrView inner_no_autograd;
    product_into(out.narrow(0, begin, end - begin), a.narrow(0, begin, end - begin), b, bias);
  });
  return out;
}

// What a is multiplied with: a weight matrix as it lies in the checkpoint.
struct Weight {
  const at::Tensor& matrix;
  bool transposed;
  at::Tensor bias;       // or undefined
  PackedMatrix* packed;  // in oneDNN's layout, or null; used for operands that oneDNN takes
};

at::Tensor any_product(const at::Tensor& a, const Weight& weight, const at::Tensor& add_to) {
  const at::AutoDispatchBelowADInplaceOrView no_autograd;
  const bool converted = weight.matrix.scalar_type() != a.scalar_type();
  const at::Tensor same_type = converted ? weight.matrix.to(a.scalar_type()) : weight.matrix;
  const at::Tensor b = weight.transposed ? same_type.t() : same_type;
  if (onednn_multiplies(a, b) && (b.stride(0) == 1 || b.stride(1) == 1)) {
    const at::Tensor out =
        add_to.defined() ? add_to : empty_rows(a.size(0), b.size(1), a.options());
    onednn_product(out, a.contiguous(), {b, weight.bias, converted ? nullptr : weight.packed},
                   add_to.defined() ? Output::kAdd : Output::kSet);
    return out;
  }
  const at::Tensor result = libtorch_product(a, b, weight.bias);
  return add_to.defined() ? at::Tensor(add_to).add_(result) : result;
}

}  // namespace

at::Tensor empty_rows(std::int64_t rows, std::int64_t width, const at::TensorOptions& options) {
  if (!options.device().is_cpu()) return at::empty({rows, width}, options);
  return at::empty({padded_rows(rows), width}, options).resize_({rows, width});
}

at::Tensor product(const at::Tensor& x, const Linear& weights) {
  return any_product(x,
                     {.matrix = weights.weight,
                      .transposed = true,
                      .bias = weights.bias,
                      .packed = weights.packed ? &weights.packed->forward : nullptr},
                     {});
}

at::Tensor transposed_product(const at::Tensor& y, const Linear& weights,
                              const at::Tensor& add_to) {
  return any_product(y,
                     {.matrix = weights.weight,
                      .transposed = false,
                      .bias = {},
                      .packed = weights.packed ? &weights.packed->backward : nullptr},
                     add_to);
}

void add_gradient_product(const at::Tensor& out, const at::Tensor& a, const at::Tensor& b) {
  const at::AutoDispatchBelowADInplaceOrView no_autograd;
  if (onednn_multiplies(a, b))
    return onednn_add_transposed_product(out, a.contiguous(), b.contiguous());
  at::Tensor(out).addmm_(a.to(out.scalar_type()).t(), b.to(out.scalar_type()));
}

at::Tensor batched_product(const at::Tensor& a, const at::Tensor& b) {
  const at::AutoDispatchBelowADInplaceOrView no_autograd;
  if (!cut_by_hand(a)) return at::bmm(a, b);
  at::Tensor out = at::empty({a.size(0), a.size(1), b.size(2)}, a.options());
  at::parallel_for(0, a.size(0), 1, [&](std::int64_t begin, std::int64_t end) {
    const at::AutoDispatchBelowADInplaceOrView inner_no_autograd;
    for (std::int64_t h = begin; h < end; ++h) {
      product_into(out.select(0, h), a.select(0, h), b.select(0, h), {});
    }
  });
  return out;
}

}  // namespace taskneuron

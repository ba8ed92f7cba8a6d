#pragma once

#include <ATen/core/Tensor.h>

#include <memory>

namespace taskneuron {

// A right-hand matrix in oneDNN's own layout, made at its first use.
class PackedMatrix {
 public:
  PackedMatrix();
  ~PackedMatrix();
  struct Content;
  Content& content() const { return *content_; }

 private:
  std::unique_ptr<Content> content_;
};

// Whether onednn_product takes operands of this type here.
bool onednn_multiplies(const at::Tensor& a, const at::Tensor& b);

// out := a b + bias, or out += a b where `accumulate`. a [r, k], out [r, c] contiguous; b [k, c]
// contiguous or transposed; bias [c] or undefined. packed: where b is kept in oneDNN's layout, or
// null. Where a and out have space for padded_rows(r) (matrix_product.h), what lies behind out's
// rows is overwritten.
void onednn_product(const at::Tensor& out, const at::Tensor& a, const at::Tensor& b,
                    const at::Tensor& bias, bool accumulate, PackedMatrix* packed);

// out += aᵀ b. a [k, r], b [k, c], out [r, c] float32, all contiguous.
void onednn_add_transposed_product(const at::Tensor& out, const at::Tensor& a, const at::Tensor& b);

}  // namespace taskneuron

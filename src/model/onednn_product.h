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

// Whether this build has it at all (TASKNEURON_ONEDNN).
bool has_onednn();

// Whether onednn_product takes operands of this type here.
bool onednn_multiplies(const at::Tensor& a, const at::Tensor& b);

struct RightMatrix {
  at::Tensor b;                    // [k, c], contiguous or transposed
  at::Tensor bias;                 // [c], or undefined
  PackedMatrix* packed = nullptr;  // where b is kept in oneDNN's layout, or null
};

enum class Output { kSet, kAdd };

// out := a b + bias, or out += a b + bias for kAdd. a [r, k], out [r, c] contiguous. Where a and
// out have space for padded_rows(r) (matrix_product.h), what lies behind out's rows is overwritten.
void onednn_product(const at::Tensor& out, const at::Tensor& a, const RightMatrix& right,
                    Output output);

// out += aᵀ b. a [k, r], b [k, c], out [r, c] float32, all contiguous.
void onednn_add_transposed_product(const at::Tensor& out, const at::Tensor& a, const at::Tensor& b);

}  // namespace taskneuron

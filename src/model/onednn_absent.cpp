// In place of onednn_product.cpp where TASKNEURON_ONEDNN is off: LibTorch multiplies everything.
#include "base/check.h"
#include "model/onednn_product.h"
#include "taskneuron/base/error.h"

namespace taskneuron {

struct PackedMatrix::Content {};

PackedMatrix::PackedMatrix() = default;
PackedMatrix::~PackedMatrix() = default;

bool has_onednn() { return false; }

bool onednn_multiplies(const at::Tensor& /*a*/, const at::Tensor& /*b*/) { return false; }

void onednn_product(const at::Tensor& /*out*/, const at::Tensor& /*a*/,
                    const RightMatrix& /*right*/, Output /*output*/) {
  TN_CHECK(has_onednn());
}

void onednn_add_transposed_product(const at::Tensor& /*out*/, const at::Tensor& /*a*/,
                                   const at::Tensor& /*b*/) {
  TN_CHECK(has_onednn());
}

}  // namespace taskneuron

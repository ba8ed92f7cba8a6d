#include "taskneuron/train/certificate.h"

#include "base/sha256.h"
#include "base/torch_compat.h"
#include "model/modules.h"

namespace taskneuron {

namespace {

std::string hash_of(const at::Tensor& tensor) {
  const at::Tensor bytes = tensor.contiguous();
  return sha256_hex({static_cast<const char*>(bytes.data_ptr()), bytes.nbytes()});
}

// Units along the axis whose bits differ.
std::int64_t differing_units(const at::Tensor& before, const at::Tensor& after, int axis) {
  const auto bits = [](const at::Tensor& tensor) {
    return tensor.contiguous().view(tensor.element_size() == 4 ? at::kInt : at::kShort);
  };
  at::Tensor differs = bits(before) != bits(after);
  if (differs.dim() == 2) differs = differs.any(1 - axis);
  return differs.sum().item<std::int64_t>();
}

CertifiedTensor certify_tensor(const std::string& name, const at::Tensor& stored,
                               const at::Tensor& after, const TrainedTensor* trained) {
  const at::Tensor before = stored.to(after.scalar_type());
  CertifiedTensor result;
  result.tensor = name;
  if (trained == nullptr) {
    result.frozen_before = hash_of(before);
    result.frozen_after = hash_of(after);
    return result;
  }
  result.units = before.size(trained->axis);
  result.trained_units = trained->units.numel();
  at::Tensor frozen = at::ones({result.units}, at::kBool);
  frozen.index_fill_(0, trained->units, false);
  const at::Tensor rest = frozen.nonzero().squeeze(1);
  result.frozen_before = hash_of(before.index_select(trained->axis, rest));
  result.frozen_after = hash_of(after.index_select(trained->axis, rest));
  result.changed_units =
      differing_units(before.index_select(trained->axis, trained->units),
                      after.index_select(trained->axis, trained->units), trained->axis);
  return result;
}

}  // namespace

bool Certificate::holds() const {
  for (const CertifiedTensor& tensor : tensors) {
    if (!tensor.holds()) return false;
  }
  return true;
}

Certificate certify(const Checkpoint& base, const std::map<std::string, TrainedTensor>& trained,
                    const std::function<at::Tensor(const std::string&)>& tensor_after) {
  const at::NoGradGuard no_gradients;
  Certificate certificate;
  for (const std::string& name : base.tensor_names()) {
    const at::Tensor after = tensor_after(name);
    if (!after.defined()) {
      require_buffer(base, name);
      continue;
    }
    const at::Tensor stored = base.tensor(name);
    const auto found = trained.find(name);
    const TrainedTensor* own = found == trained.end() ? nullptr : &found->second;
    certificate.tensors.push_back(certify_tensor(name, stored, after, own));
    const std::int64_t values = own == nullptr ? 0 : own->value.numel();
    certificate.trained_values += values;
    certificate.frozen_values += stored.numel() - values;
  }
  return certificate;
}

std::map<std::string, at::Tensor> named_weights(const Decoder& decoder) {
  std::map<std::string, at::Tensor> named;
  for_each_tensor(decoder.weights(), [&](const std::string& name, const at::Tensor& tensor) {
    at::Tensor& known = named[name];
    known = known.defined() ? at::cat({known, tensor.cpu()}) : tensor.cpu();
  });
  return named;
}

}  // namespace taskneuron

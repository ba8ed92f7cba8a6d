#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "taskneuron/checkpoint/checkpoint.h"
#include "taskneuron/model/trainable.h"

namespace taskneuron {

// One tensor of a freeze certificate. Hashes are SHA-256 of the bytes of everything that was not to
// be trained, in the dtype that was compared.
struct CertifiedTensor {
  std::string tensor;
  std::int64_t units = 0;          // along the axis; 0 for a tensor that was frozen whole
  std::int64_t trained_units = 0;  // that were allowed to change
  std::int64_t changed_units = 0;  // of them, that did
  std::string frozen_before;
  std::string frozen_after;
  bool holds() const { return frozen_before == frozen_after; }
};

struct Certificate {
  std::vector<CertifiedTensor> tensors;
  bool holds() const;
  std::int64_t trained_values = 0;
  std::int64_t frozen_values = 0;
};

// Compares every tensor of the base with what `tensor_after` gives, bit by bit, and finds what
// changed outside of what was trained. Reads every weight. Throws Error naming a tensor for which
// that is undefined, unless it is known to hold no weights (checkpoint/weight_names.h).
Certificate certify(const Checkpoint& base, const std::map<std::string, TrainedTensor>& trained,
                    const std::function<at::Tensor(const std::string&)>& tensor_after);

// The weights that a decoder multiplies, by name and as stored, for `certify`.
std::map<std::string, at::Tensor> named_weights(const Decoder& decoder);

}  // namespace taskneuron

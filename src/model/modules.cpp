#include "model/modules.h"

#include <fmt/format.h>

#include <set>

#include "base/torch_compat.h"
#include "taskneuron/base/error.h"
#include "taskneuron/checkpoint/weight_names.h"

namespace taskneuron {

void require_known_tensors(const Checkpoint& checkpoint, const DecoderWeights& weights) {
  std::set<std::string> held;
  for_each_tensor(weights, [&](const std::string& name, const at::Tensor&) { held.insert(name); });
  for (const std::string& name : checkpoint.tensor_names()) {
    if (held.count(name) == 0) require_buffer(checkpoint, name);
  }
}

void require_buffer(const Checkpoint& checkpoint, const std::string& tensor) {
  if (is_buffer(checkpoint.config(), tensor)) return;
  throw Error(
      fmt::format("{}: tensor '{}' is no part of a '{}' model with this config.json, so nothing "
                  "could certify that it stays as it is; correct config.json, or save the model "
                  "without it",
                  checkpoint.folder().string(), tensor, checkpoint.config().model_type));
}

}  // namespace taskneuron

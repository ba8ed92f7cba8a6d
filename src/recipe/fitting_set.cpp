#include "recipe/fitting_set.h"

namespace taskneuron {

NeuronSet load_fitting_set(const std::string& path, const Checkpoint& checkpoint,
                           OtherWeights other_weights) {
  NeuronSet set = load_set(path);
  require_fit(set, checkpoint.config(), checkpoint.hash(), other_weights, path);
  return set;
}

}  // namespace taskneuron

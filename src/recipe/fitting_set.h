#pragma once

#include <filesystem>
#include <string>

#include "taskneuron/checkpoint/checkpoint.h"
#include "taskneuron/neuron/neuron_set.h"

namespace taskneuron {

inline OtherWeights other_weights(bool allowed) {
  return allowed ? OtherWeights::kAllow : OtherWeights::kRefuse;
}

// Whether a file is given as a set, and not as scores.
inline bool is_set(const std::string& path) {
  return std::filesystem::path(path).extension() == ".json";
}

// A set's file. Throws Error unless it fits the model.
NeuronSet load_fitting_set(const std::string& path, const Checkpoint& checkpoint,
                           OtherWeights other_weights);

}  // namespace taskneuron

#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "taskneuron/checkpoint/checkpoint.h"
#include "taskneuron/neuron/neuron_set.h"

namespace taskneuron {

// How alike the parameters of two sets of units are (method, "Parameter similarity"). The sets
// differ, so there is more than one way to compare them, and every number names its own.
enum class SimilarityDefinition {
  kMasked,  // of a layer's parameters with all units outside the set zeroed
  kMean,    // of the mean parameters of each set's units
  kRanked,  // of the units' parameters side by side in order of relevance
};

const char* similarity_name(SimilarityDefinition definition);
// Throws UsageError for another name.
SimilarityDefinition parse_similarity(const std::string& name);

// One task's units.
struct SimilarityUnits {
  NeuronSet set;
  // The same number of units of every layer, the most relevant first, of one site: what `ranked`
  // compares. Empty where no order is known.
  UnitsBySite order;
};

// A cosine of every layer; nothing where a set has no unit there, or its parameters are all zero.
struct LayerSimilarity {
  std::vector<std::optional<double>> layers;
  std::optional<double> mean;  // over the layers that have one
};

struct UnitSimilarity {
  std::optional<LayerSimilarity> masked;
  // What `masked` would be if every unit's parameters were as large: |A ∩ B| / √(|A|·|B|).
  std::optional<LayerSimilarity> overlap_only;
  std::optional<LayerSimilarity> mean;
  std::optional<LayerSimilarity> ranked;
};

struct SimilarityRequest {
  // The parameters of a's units are the first model's, those of b's the second's. The same
  // Checkpoint twice: one model.
  const Checkpoint& first;
  const Checkpoint& second;
  std::vector<SimilarityUnits> a;
  std::vector<SimilarityUnits> b;
  std::set<SimilarityDefinition> definitions;
  std::function<void(std::int64_t layers)> progress = {};  // after each; may throw
};

// Of every a with every b: [a.size() * b.size()], b fastest. Biases are left out; what of gate, up
// and down projection a unit owns stands side by side (model/unit_parameters.h). Weights are read
// once, layer by layer, from where they are mapped; sums are float64. Throws Error where the models
// differ in shape, sets do not fit or are of different sites, or a weight is not finite. REQUIRES
// orders of one site and of as many units, where `ranked` is asked for.
std::vector<UnitSimilarity> unit_similarity(const SimilarityRequest& request);

}  // namespace taskneuron

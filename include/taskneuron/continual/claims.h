#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "taskneuron/neuron/ranking.h"

namespace taskneuron {

// Units that earlier tasks of a stream have trained, and what that means for the next one.

// Relevance of claimed units times `factor`; with 0 they come after every unclaimed unit, in the
// order of their relevance.
SiteRelevance with_claims(const SiteRelevance& relevance, const std::vector<const NeuronSet*>& sets,
                          double factor);

// As many units per site and layer as `like` has, at random among those that no set holds; where a
// layer has too few, those that the fewest hold. draw names the stream, as RandomDraw's does.
NeuronSet disjoint_set(const NeuronSet& like, const std::vector<const NeuronSet*>& sets,
                       const std::string& task, std::uint64_t seed);

// Units of a set that were claimed before.
std::int64_t claimed_before(const NeuronSet& set, const std::vector<const NeuronSet*>& sets);

// What multiplies learning rates ("soft"): R / (R + largest earlier R) for each unit, where every
// task's relevance is scaled to a mean of 1 so that tasks count alike; 1 where nothing was relevant
// before. float32 [layers, width] per site.
SiteRelevance soft_rates(const SiteRelevance& relevance, const std::vector<SiteRelevance>& earlier);

}  // namespace taskneuron

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "taskneuron/neuron/neuron_set.h"

namespace taskneuron {

// Sets made of sets. What they return has the first one's model hash and says nothing of how it was
// made. All REQUIRE a set and throw Error unless all have the same sites and shapes.

// The units that are in m or more of the sets. REQUIRES m >= 1.
NeuronSet at_least(std::int64_t m, const std::vector<NeuronSet>& sets);
NeuronSet union_of(const std::vector<NeuronSet>& sets);
NeuronSet intersection_of(const std::vector<NeuronSet>& sets);
// The units of the first that are in none of the others.
NeuronSet difference_of(const std::vector<NeuronSet>& sets);

// Throws Error unless both have the same sites and shapes. a_name, b_name: what the message calls
// them.
void require_same_shapes(const NeuronSet& a, const NeuronSet& b, const std::string& a_name,
                         const std::string& b_name);
// The same, and unless allowed, that both were made for a model with the same weights.
void require_same_model(const NeuronSet& a, const NeuronSet& b, const std::string& a_name,
                        const std::string& b_name, OtherWeights other_weights);

}  // namespace taskneuron

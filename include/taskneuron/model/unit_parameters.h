#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <vector>

#include "taskneuron/model/site.h"

namespace taskneuron {

// Unit ids at each site, per layer (of the first layers, or of all), ascending.
using UnitsBySite = std::map<Site, std::vector<std::vector<std::int64_t>>>;

// The parts of a layer's FFN that units own: some outputs of a matrix with their bias entries, or
// some inputs of W2.
enum class OwnedPart { kGateOutputs, kUpOutputs, kDownOutputs, kDownInputs };

inline constexpr std::array kOwnedParts = {OwnedPart::kGateOutputs, OwnedPart::kUpOutputs,
                                           OwnedPart::kDownOutputs, OwnedPart::kDownInputs};

// The method's table of sites: what of a part the units of one layer own together, ascending. Where
// `act` and `out` stand together (the paper's literal reading), a unit of `act` owns its W1 side
// alone. Training and the ablation of parameters both ask here.
std::vector<std::int64_t> owned_units(const UnitsBySite& units, std::size_t layer, OwnedPart part);

}  // namespace taskneuron

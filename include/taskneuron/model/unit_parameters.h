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

// Units of one expert (MixtureConfig) among those of its layer.
struct UnitRange {
  std::int64_t first = 0;
  std::int64_t count = 0;
};

// The method's table of sites: what of a part the units of one layer own together, ascending. Where
// `act` and `out` stand together (the paper's literal reading), a unit of `act` owns its W1 side
// alone. Training and the ablation of parameters both ask here.
std::vector<std::int64_t> owned_units(const UnitsBySite& units, std::size_t layer, OwnedPart part);
// The same of one expert's matrices, counted from its first unit. A unit of `out` owns its output
// of every expert's W2.
std::vector<std::int64_t> owned_units(const UnitsBySite& units, std::size_t layer, OwnedPart part,
                                      const UnitRange& expert);

}  // namespace taskneuron

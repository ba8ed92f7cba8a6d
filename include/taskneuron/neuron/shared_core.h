#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "taskneuron/neuron/neuron_set.h"

namespace taskneuron {

// What several sets share all together, beside what they would if each were drawn by itself, at
// its size in every layer.
struct JointOverlap {
  std::int64_t common = 0;  // in every set
  std::int64_t in_any = 0;
  double expected_common = 0;
  double expected_in_any = 0;
  std::optional<double> ratio;  // common / expected_common, where that is not 0
  double p = 1;                 // of at least as many common units, exact, one-sided
};
// REQUIRES a set; throws Error unless all have the same sites and shapes.
JointOverlap joint_overlap(const std::vector<NeuronSet>& sets);

using UnitsPerLayer = std::map<Site, std::vector<std::int64_t>>;

// The units that m sets or more share, beside how many there would be if each set were drawn by
// itself, at its size in every layer.
struct CoreUnits {
  std::int64_t m = 0;
  std::int64_t units = 0;
  UnitsPerLayer layers;
  double expected = 0;  // exact: how many sets a unit is in is Poisson-binomial
  std::optional<double> ratio;
  // Of at least as many: (1 + draws with as many) / (draws + 1); exact where m is all sets.
  double p = 1;
};
// The units that one set has and no other.
struct PrivateUnits {
  std::int64_t units = 0;
  UnitsPerLayer layers;
  double expected = 0;
  std::optional<double> ratio;
};
struct SharedCore {
  std::vector<CoreUnits> core;         // m ascending
  std::vector<PrivateUnits> privates;  // by set
  JointOverlap together;
  std::int64_t draws = 0;
};
struct CoreOptions {
  std::optional<std::int64_t> m;  // only that core; otherwise 1 up to the number of sets
  std::uint64_t seed = 0;
  // Otherwise 9,999, fewer for large problems, so that they take seconds.
  std::optional<std::int64_t> draws;
};
// REQUIRES 1 <= m <= sets; throws Error unless all have the same sites and shapes.
SharedCore shared_core(const std::vector<NeuronSet>& sets, const CoreOptions& options);

}  // namespace taskneuron

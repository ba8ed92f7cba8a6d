#pragma once

#include <cstdint>
#include <vector>

#include "taskneuron/analysis/deactivation.h"

namespace taskneuron {

// A task with its own units off beside what that is compared with.
struct OwnAndOriginal {
  const Measurement* own = nullptr;
  const Measurement* original = nullptr;
};
struct OwnAndRandom {
  const Measurement* own = nullptr;
  const std::vector<Measurement>* random = nullptr;
};

// In every measure, over the tasks given; label loss where all of them rank labels.
MeasureContrasts own_minus_original(const std::vector<OwnAndOriginal>& tasks);
MeasureContrasts own_minus_random(const std::vector<OwnAndRandom>& tasks, std::uint64_t seed);

}  // namespace taskneuron

#pragma once

#include <cstdint>
#include <vector>

#include "taskneuron/analysis/deactivation.h"

namespace taskneuron {

// A task with its own units changed beside what that is compared with. Several measurements in one
// place are those of trainings from several seeds; their mean counts.
struct OwnAndOriginal {
  std::vector<const Measurement*> own;
  const Measurement* original = nullptr;
};
struct OwnAndRandom {
  std::vector<const Measurement*> own;
  std::vector<std::vector<const Measurement*>> random;  // by set
};

OwnAndRandom own_and_random(const Measurement& own, const RandomRows& random);

// In every measure, over the tasks given; label loss where all of them rank labels.
MeasureContrasts own_minus_original(const std::vector<OwnAndOriginal>& tasks);
MeasureContrasts own_minus_random(const std::vector<OwnAndRandom>& tasks, std::uint64_t seed);

// Corrects each measure over the contrasts given.
void adjust_measures(const std::vector<MeasureContrasts*>& family);

}  // namespace taskneuron

#pragma once

#include <cstdint>
#include <vector>

#include "neuron/pair_chance.h"
#include "taskneuron/neuron/neuron_set.h"

namespace taskneuron {

// A set as one bit per unit; layers of all sites follow each other, each from a word of its own.
class UnitBits {
 public:
  explicit UnitBits(const NeuronSet& set);

  // REQUIRES the same shapes.
  std::int64_t common(const UnitBits& other) const;
  // Sizes of both in every layer.
  std::vector<PairLayer> sizes(const UnitBits& other) const;

 private:
  std::vector<std::uint64_t> words_;
  std::vector<std::int64_t> widths_;  // [layers of all sites]
  std::vector<std::int64_t> counts_;
};

}  // namespace taskneuron

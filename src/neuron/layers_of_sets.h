#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "taskneuron/neuron/neuron_set.h"
#include "taskneuron/neuron/set_algebra.h"

namespace taskneuron {

using LayerUnits = std::vector<std::int64_t>;

// Calls visit(site, layer, width, [units of each set]) for every layer of every site.
template <typename Visit>
void for_every_layer(const std::vector<const NeuronSet*>& sets, const Visit& visit) {
  for (const NeuronSet* set : sets) {
    require_same_shapes(*sets.front(), *set, "the first set", "another");
  }
  for (const auto& [site, units] : sets.front()->sites) {
    for (std::size_t l = 0; l < units.units.size(); ++l) {
      std::vector<const LayerUnits*> of_layer;
      for (const NeuronSet* set : sets) of_layer.push_back(&set->sites.at(site).units[l]);
      visit(site, static_cast<std::int64_t>(l), units.width, of_layer);
    }
  }
}

inline std::vector<const NeuronSet*> pointers(const std::vector<NeuronSet>& sets) {
  std::vector<const NeuronSet*> result;
  for (const NeuronSet& set : sets) result.push_back(&set);
  return result;
}

inline std::vector<std::int64_t> sizes_of(const std::vector<const LayerUnits*>& sets) {
  std::vector<std::int64_t> sizes;
  for (const LayerUnits* units : sets) sizes.push_back(static_cast<std::int64_t>(units->size()));
  return sizes;
}

// How many of `width` units are expected in none of independent sets.
inline double expected_in_none(std::int64_t width, const std::vector<std::int64_t>& sizes) {
  const auto n = static_cast<double>(width);
  double units = n;
  for (const std::int64_t size : sizes) units *= 1 - static_cast<double>(size) / n;
  return units;
}

// 0 of two empty sets.
inline double jaccard_of(std::int64_t first, std::int64_t second, std::int64_t common) {
  const std::int64_t all = first + second - common;
  return all > 0 ? static_cast<double>(common) / static_cast<double>(all) : 0;
}

inline std::optional<double> ratio_of(double observed, double expected) {
  if (expected > 0) return observed / expected;
  return std::nullopt;
}

}  // namespace taskneuron

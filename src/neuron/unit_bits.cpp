#include "neuron/unit_bits.h"

#include <bit>

#include "base/check.h"

namespace taskneuron {

UnitBits::UnitBits(const NeuronSet& set) {
  for (const auto& [site, units] : set.sites) {
    for (const std::vector<std::int64_t>& layer : units.units) {
      const std::size_t first = words_.size();
      words_.resize(first + static_cast<std::size_t>(units.width + 63) / 64, 0);
      for (const std::int64_t unit : layer) {
        words_[first + static_cast<std::size_t>(unit) / 64] |= std::uint64_t{1} << (unit % 64);
      }
      widths_.push_back(units.width);
      counts_.push_back(static_cast<std::int64_t>(layer.size()));
    }
  }
}

std::int64_t UnitBits::common(const UnitBits& other) const {
  TN_CHECK_EQ(words_.size(), other.words_.size());
  std::int64_t count = 0;
  for (std::size_t i = 0; i < words_.size(); ++i) {
    count += std::popcount(words_[i] & other.words_[i]);
  }
  return count;
}

std::vector<PairLayer> UnitBits::sizes(const UnitBits& other) const {
  std::vector<PairLayer> layers;
  for (std::size_t l = 0; l < widths_.size(); ++l) {
    layers.push_back({widths_[l], counts_[l], other.counts_[l]});
  }
  return layers;
}

}  // namespace taskneuron

#pragma once

#include <cstdint>
#include <vector>

#include "neuron/overlap_chance.h"

namespace taskneuron {

// Sizes of two sets in one layer.
struct PairLayer {
  std::int64_t width = 0;
  std::int64_t first = 0;
  std::int64_t second = 0;
  bool operator==(const PairLayer&) const = default;
};

// What two sets of these sizes share when the units of one side are permuted within every layer:
// the sum of a hypergeometric count per layer (method, "Overlap").
class PairChance {
 public:
  explicit PairChance(std::vector<PairLayer> layers);

  const std::vector<PairLayer>& layers() const { return layers_; }
  double expected_common() const { return expected_common_; }
  double expected_jaccard() const { return expected_jaccard_; }
  // P(common ≥ observed), to about 1e-10 of itself; see kSmallestOverlapP.
  double p(std::int64_t observed) const;

 private:
  double far_p(std::int64_t observed) const;

  std::vector<PairLayer> layers_;
  CountChances counts_;  // the body of the distribution
  double expected_common_ = 0;
  double expected_jaccard_ = 0;
};

}  // namespace taskneuron

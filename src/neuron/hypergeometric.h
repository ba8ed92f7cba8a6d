#pragma once

#include <cstdint>

#include "neuron/overlap_chance.h"

namespace taskneuron {

// How many units two sets have in common in one layer, when `first` of `width` units are marked and
// `second` are drawn; and that law tilted, P(i)·weight^i up to a factor, which is what the counts
// look like given that they are large (Fisher's noncentral law).
class Hypergeometric {
 public:
  Hypergeometric(std::int64_t width, std::int64_t first, std::int64_t second);

  std::int64_t lowest() const { return lowest_; }
  std::int64_t highest() const { return highest_; }
  std::int64_t mode(double weight = 1) const;
  // Of the tilted law, to within about one count (Cornfield 1956).
  double rough_mean(double weight) const;
  // P(i + 1) / P(i)
  double up(std::int64_t i) const;
  // log P(i), good to 1e-13.
  long double log_chance(std::int64_t i) const;

 private:
  double n_, a_, b_;
  std::int64_t lowest_, highest_;
};

// The tilted law around its mode, and log Σ P(i)·weight^(i − mode).
struct TiltedChances {
  CountChances counts;  // adds up to 1
  std::int64_t mode = 0;
  double log_sum = 0;
};
TiltedChances tilted_chances(const Hypergeometric& law, double weight, double least);

}  // namespace taskneuron

#pragma once

#include <cstdint>
#include <vector>

#include "taskneuron/base/random.h"

// Distributions of how many units sets have in common by chance.
namespace taskneuron {

// P(first), P(first + 1), ...: counts that are left out are as good as impossible.
struct CountChances {
  std::int64_t first = 0;
  std::vector<double> chance = {1.0};

  std::int64_t end() const { return first + static_cast<std::int64_t>(chance.size()); }
};

// Next to the likeliest count, what is less likely than this adds nothing to a p that is not below
// kSmallestOverlapP.
constexpr double kImpossible = 1e-300;

// The number of common units when `a` of `width` units are marked and `b` are drawn
// (hypergeometric). Counts less likely than the likeliest one times `least` are left out.
CountChances common_chances(std::int64_t width, std::int64_t a, std::int64_t b,
                            double least = kImpossible);

// The number of units in every set, when sets of these sizes are drawn from `width` units, each by
// itself. REQUIRES a set.
CountChances common_to_all_chances(std::int64_t width, std::vector<std::int64_t> sizes);

// The sum of two independent counts.
CountChances convolve(const CountChances& a, const CountChances& b, double least = kImpossible);
// The sum of several; by halves, so that the small ones meet first. REQUIRES one.
CountChances convolve_all(std::vector<CountChances> counts, double least = kImpossible);

// P(count ≥ observed); see kSmallestOverlapP.
double upper_tail(const CountChances& chances, std::int64_t observed);

// How many units two sets have in common in a layer, drawn as common_chances says. Widths up to
// `widest`.
class CommonDraw {
 public:
  explicit CommonDraw(std::int64_t widest);
  std::int64_t operator()(std::int64_t width, std::int64_t a, std::int64_t b, Random& random) const;

 private:
  std::vector<double> log_factorial_;
};

}  // namespace taskneuron

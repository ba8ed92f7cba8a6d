#pragma once

#include <cstdint>
#include <vector>

#include "taskneuron/base/random.h"

// Distributions of how many units sets have in common by chance.
namespace taskneuron {

// P(common = i) by i, when `a` of `width` units are marked and `b` are drawn: hypergeometric.
std::vector<double> common_chances(std::int64_t width, std::int64_t a, std::int64_t b);

// P(i units are in every set) by i, when sets of these sizes are drawn from `width` units, each by
// itself. REQUIRES a set.
std::vector<double> common_to_all_chances(std::int64_t width,
                                          const std::vector<std::int64_t>& sizes);

// The distribution of a sum of two independent counts.
std::vector<double> convolve(const std::vector<double>& a, const std::vector<double>& b);

// P(count ≥ observed); see kSmallestOverlapP.
double upper_tail(const std::vector<double>& chances, std::int64_t observed);

// One draw from common_chances.
std::int64_t draw_common(std::int64_t width, std::int64_t a, std::int64_t b, Random& random);

}  // namespace taskneuron

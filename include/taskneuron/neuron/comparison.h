#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "taskneuron/neuron/neuron_set.h"
#include "taskneuron/neuron/selection.h"

namespace taskneuron {

// Smaller p values of overlaps stand as this: beyond it a double cannot tell them from none.
constexpr double kSmallestOverlapP = 1e-300;

// How much two sets share, beside chance: if the units of one side were permuted within every
// layer, sizes fixed (a product of hypergeometrics; method, "Overlap").
struct SetComparison {
  std::int64_t first = 0;  // units of each
  std::int64_t second = 0;
  std::int64_t common = 0;
  double jaccard = 0;
  double expected_common = 0;
  // Σ over the null's distribution of |common| / |union|, exact.
  double expected_jaccard = 0;
  std::optional<double> ratio;  // jaccard / expected_jaccard, where that is not 0
  double p = 1;                 // of at least as many common units, exact, one-sided
};
// Whether what the exact distribution gives is formed too: its cost grows with the product of the
// sizes.
enum class Chance { kExpected, kLeaveOut };
// Throws Error unless both have the same sites and shapes.
SetComparison compare_sets(const NeuronSet& a, const NeuronSet& b,
                           Chance chance = Chance::kExpected);

// What two unions would share if each of their member sets were drawn by itself, at its size in
// every layer. Unions then differ in size too, so p is of the Jaccard index.
struct IndependentChance {
  double expected_common = 0;   // exact
  double expected_jaccard = 0;  // mean over draws
  std::optional<double> ratio;
  double p = 1;  // (1 + draws with at least as large an index) / (draws + 1)
  std::int64_t draws = 0;
};
IndependentChance independent_chance(const std::vector<NeuronSet>& a,
                                     const std::vector<NeuronSet>& b, std::uint64_t seed,
                                     std::int64_t draws = 10000);

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

// How alike two tasks' relevance is over all units. REQUIRES the same sites and shapes.
struct ScoreComparison {
  double pearson = 0;
  double spearman = 0;
};
ScoreComparison compare_relevance(const SiteRelevance& a, const SiteRelevance& b);

}  // namespace taskneuron

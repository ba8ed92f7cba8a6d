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
  std::int64_t in_any = 0;
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

// Every two of the sets: (0, 1), (0, 2), ..., (1, 2), .... What compare_sets says, from bitmaps and
// on all threads. Throws Error unless all have the same sites and shapes.
std::vector<SetComparison> compare_all(const std::vector<const NeuronSet*>& sets);

// One layer of two sets.
struct LayerComparison {
  Site site = Site::kAct;
  std::int64_t layer = 0;
  SetComparison overlap;
};
// Every layer of every site by itself. Throws Error unless both have the same sites and shapes.
std::vector<LayerComparison> compare_layers(const NeuronSet& a, const NeuronSet& b);

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

// How alike two tasks' relevance is over all units. REQUIRES the same sites and shapes.
struct ScoreComparison {
  double pearson = 0;
  double spearman = 0;
};
ScoreComparison compare_relevance(const SiteRelevance& a, const SiteRelevance& b);
// Every two of them, in the order of compare_all; each is ranked once.
std::vector<ScoreComparison> compare_all_relevance(const std::vector<const SiteRelevance*>& scores);

}  // namespace taskneuron

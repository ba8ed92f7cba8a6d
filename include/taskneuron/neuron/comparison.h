#pragma once

#include <cstdint>

#include "taskneuron/neuron/neuron_set.h"
#include "taskneuron/neuron/selection.h"

namespace taskneuron {

// How much two sets share. Expected values: if the units of one side were permuted within every
// layer, sizes fixed (a product of hypergeometrics).
struct SetComparison {
  std::int64_t first = 0;  // units of each
  std::int64_t second = 0;
  std::int64_t common = 0;
  double jaccard = 0;
  double expected_common = 0;
  // Σ over the null's distribution of |common| / |union|, exact.
  double expected_jaccard = 0;
};
// Whether the exact expectation is formed too: its cost grows with the product of the sizes.
enum class Chance { kExpected, kLeaveOut };
// Throws Error unless both have the same sites and shapes.
SetComparison compare_sets(const NeuronSet& a, const NeuronSet& b,
                           Chance chance = Chance::kExpected);

// How alike two tasks' relevance is over all units of their common sites.
struct ScoreComparison {
  double pearson = 0;
  double spearman = 0;
  SetComparison top;  // of the two top sets
};
ScoreComparison compare_relevance(const SiteRelevance& a, const SiteRelevance& b, double percent,
                                  Scope scope);

}  // namespace taskneuron

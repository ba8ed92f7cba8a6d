#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "taskneuron/neuron/neuron_set.h"
#include "taskneuron/neuron/scores.h"

namespace taskneuron {

enum class Scope { kGlobal, kLayer };

Scope parse_scope(const std::string& name);
const char* scope_name(Scope scope);

// How many of n units k percent are: k·n/100 rounded half up, at least 1. REQUIRES 0 < k <= 100.
std::int64_t units_of_percent(double percent, std::int64_t units);
// "10%" or "10". Throws UsageError unless it is a number above 0 and at most 100, and for one below
// 1 without the sign, which may be a fraction or a percentage.
double parse_percent(const std::string& text);

// Relevance per site, float64 [layers, width] each.
using SiteRelevance = std::map<Site, at::Tensor>;

// A task's relevance at the given sites (all that the scores have, where empty).
SiteRelevance site_relevance(const Scores& scores, const std::vector<Site>& sites,
                             Aggregate aggregate);
// Minus the mean relevance over the other tasks: what is specific to this one.
SiteRelevance contrastive(const SiteRelevance& task, const std::vector<SiteRelevance>& others);

// The top k percent of units, all sites ranked together: over the model, or within each layer. Ties
// go to the lower layer, then site, then unit.
NeuronSet select_top(const SiteRelevance& relevance, double percent, Scope scope);

enum class RandomKind {
  kMatched,  // as many per site and layer as the other set has
  kUniform,  // as many in all, anywhere at the set's sites
};

// "matched" or "uniform". Throws UsageError for anything else.
RandomKind parse_random_kind(const std::string& name);
const char* random_kind_name(RandomKind kind);

// As many units as `like` has, drawn from all units of the model.
NeuronSet random_set(const NeuronSet& like, RandomKind kind, std::uint64_t seed);

}  // namespace taskneuron

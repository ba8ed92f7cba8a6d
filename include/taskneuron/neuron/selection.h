#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "taskneuron/neuron/neuron_set.h"
#include "taskneuron/neuron/ranking.h"
#include "taskneuron/neuron/scores.h"

namespace taskneuron {

// "10%" or "10". Throws UsageError unless it is a number above 0 and at most 100, and for one below
// 1 without the sign, which may be a fraction or a percentage. option: for the message.
double parse_percent(const std::string& text, const std::string& option = "top");
// Shares of a grid. Throws UsageError unless there is one, and each is larger than the one before.
std::vector<double> parse_percents(const std::vector<std::string>& texts,
                                   const std::string& option = "top");

// A task's relevance at the given sites (all that the scores have, where empty).
SiteRelevance site_relevance(const Scores& scores, const std::vector<Site>& sites,
                             Aggregate aggregate);
// Minus the mean relevance over the other tasks: what is specific to this one.
SiteRelevance contrastive(const SiteRelevance& task, const std::vector<SiteRelevance>& others);

// The top of a ranking from which nothing else is taken (ranking.h).
NeuronSet select_top(const SiteRelevance& relevance, double percent, Scope scope);

enum class RandomKind {
  kMatched,  // as many per site and layer as the other set has, of all units there
  kUniform,  // as many in all, anywhere at the set's sites
  kOutside,  // as many per site and layer, of those that are not in the other set
};

// "matched", "uniform" or "outside". Throws UsageError for anything else.
RandomKind parse_random_kind(const std::string& name);
const char* random_kind_name(RandomKind kind);

// Which random set of a task. Each has a stream of random numbers of its own: sets that differ in
// any of these, or in the units per layer of the set that they are like, share no randomness.
struct RandomDraw {
  RandomKind kind = RandomKind::kMatched;
  std::string task;
  std::uint64_t seed = 0;
  std::int64_t draw = 0;
};

// As many units as `like` has; fewer with kOutside where a layer is exhausted.
NeuronSet random_set(const NeuronSet& like, const RandomDraw& draw);

// As many units per site and layer as `like` has, a share of them (0 to 1) from `like`, the others
// from outside it, both at random; where a layer has too few outside, more from `like`. `draw`
// names the stream; its kind has no meaning.
NeuronSet mixed_set(const NeuronSet& like, double share, const RandomDraw& draw);

// Layers where fewer units are outside a set than in it: kOutside takes all that are left.
struct ExhaustedLayer {
  Site site = Site::kAct;
  std::int64_t layer = 0;
  std::int64_t inside = 0;
  std::int64_t outside = 0;
};
std::vector<ExhaustedLayer> exhausted_layers(const NeuronSet& set);

// How many units two sets share.
std::int64_t units_in_common(const NeuronSet& a, const NeuronSet& b);

}  // namespace taskneuron

#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "taskneuron/neuron/neuron_set.h"

namespace taskneuron {

enum class Scope { kGlobal, kLayer };

// "global" or "layer". Throws UsageError for anything else.
Scope parse_scope(const std::string& name);
const char* scope_name(Scope scope);

// How many of n units k percent are: k·n/100 rounded half up, at least 1. REQUIRES 0 < k <= 100.
std::int64_t units_of_percent(double percent, std::int64_t units);

// Relevance per site, float64 [layers, width] each.
using SiteRelevance = std::map<Site, at::Tensor>;

// All units of some sites by relevance, the most relevant first: the one order that sets, doses,
// audits and comparisons are taken from. Ties go to the lower layer, then site, then unit (method,
// "Selection"). Sorted once; immutable.
class Ranking {
 public:
  // Throws Error for a relevance that is not finite. REQUIRES a site, as many layers in all.
  explicit Ranking(const SiteRelevance& relevance);

  const std::vector<SiteUnit>& units() const { return units_; }
  std::int64_t size() const { return static_cast<std::int64_t>(units_.size()); }

  // The top k percent of units, all sites together: over the model, or within each layer.
  NeuronSet top(double percent, Scope scope) const;

 private:
  std::map<Site, SiteShape> shapes_;
  std::int64_t layers_ = 0;
  std::vector<SiteUnit> units_;
};

}  // namespace taskneuron

#include "taskneuron/continual/claims.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/torch_compat.h"
#include "taskneuron/base/error.h"
#include "taskneuron/base/random.h"
#include "taskneuron/neuron/selection.h"
#include "taskneuron/neuron/set_algebra.h"

namespace taskneuron {

namespace {

// How many of the sets hold each unit of a site, int64 [layers, width].
at::Tensor holders(const std::vector<const NeuronSet*>& sets, Site site, SiteShape shape) {
  at::Tensor counts = at::zeros({shape.layers, shape.width}, at::kLong);
  for (const NeuronSet* set : sets) {
    const auto found = set->sites.find(site);
    if (found == set->sites.end()) continue;
    TN_CHECK(found->second.shape().layers == shape.layers && found->second.width == shape.width);
    for (std::size_t l = 0; l < found->second.units.size(); ++l) {
      at::Tensor row = counts[static_cast<std::int64_t>(l)];
      for (const std::int64_t unit : found->second.units[l]) row[unit] += 1;
    }
  }
  return counts;
}

SiteShape shape_of(const at::Tensor& relevance) { return {relevance.size(0), relevance.size(1)}; }

// `count` units: at random among those that the fewest hold, then among the next.
std::vector<std::int64_t> least_held(const at::Tensor& row, std::int64_t count, Random& random) {
  std::vector<std::vector<std::int64_t>> by_holders;
  const auto* held = row.data_ptr<std::int64_t>();
  for (std::int64_t unit = 0; unit < row.numel(); ++unit) {
    const auto holders = static_cast<std::size_t>(held[unit]);
    if (by_holders.size() <= holders) by_holders.resize(holders + 1);
    by_holders[holders].push_back(unit);
  }
  std::vector<std::int64_t> chosen;
  for (const std::vector<std::int64_t>& units : by_holders) {
    const auto left = count - static_cast<std::int64_t>(chosen.size());
    const auto there = static_cast<std::int64_t>(units.size());
    for (const std::int64_t place : random.sample(there, std::min(left, there))) {
      chosen.push_back(units[static_cast<std::size_t>(place)]);
    }
  }
  std::sort(chosen.begin(), chosen.end());
  return chosen;
}

}  // namespace

SiteRelevance with_claims(const SiteRelevance& relevance, const std::vector<const NeuronSet*>& sets,
                          double factor) {
  SiteRelevance found;
  for (const auto& [site, values] : relevance) {
    const at::Tensor held = holders(sets, site, shape_of(values)) > 0;
    // Below every unclaimed unit's, which is not negative, yet in their own order.
    const at::Tensor lowered = factor > 0 ? values * factor : values - (values.max() + 1);
    found[site] = at::where(held, lowered, values);
  }
  return found;
}

NeuronSet disjoint_set(const NeuronSet& like, const std::vector<const NeuronSet*>& sets,
                       const std::string& task, std::uint64_t seed) {
  NeuronSet set = like;
  Random random(seed, fmt::format("disjoint set of {}", task));
  for (auto& [site, units] : set.sites) {
    const at::Tensor counts = holders(sets, site, units.shape());
    for (std::size_t l = 0; l < units.units.size(); ++l) {
      const auto count = static_cast<std::int64_t>(units.units[l].size());
      units.units[l] = least_held(counts[static_cast<std::int64_t>(l)].contiguous(), count, random);
    }
  }
  set.from = {{"random", "disjoint"}, {"task", task}, {"seed", std::to_string(seed)}};
  return set;
}

std::int64_t claimed_before(const NeuronSet& set, const std::vector<const NeuronSet*>& sets) {
  if (sets.empty()) return 0;
  std::vector<NeuronSet> earlier;
  for (const NeuronSet* one : sets) earlier.push_back(*one);
  return units_in_common(set, union_of(earlier));
}

SiteRelevance soft_rates(const SiteRelevance& relevance,
                         const std::vector<SiteRelevance>& earlier) {
  const auto scaled = [](const at::Tensor& values) {
    const double mean = values.mean().item<double>();
    return mean > 0 ? values / mean : values;
  };
  SiteRelevance rates;
  for (const auto& [site, values] : relevance) {
    const at::Tensor own = scaled(values);
    at::Tensor largest = at::zeros_like(own);
    for (const SiteRelevance& one : earlier) largest = at::maximum(largest, scaled(one.at(site)));
    const at::Tensor sum = own + largest;
    rates[site] =
        at::where(largest > 0, own / sum.clamp_min(1e-300), at::ones_like(own)).to(at::kFloat);
  }
  return rates;
}

}  // namespace taskneuron

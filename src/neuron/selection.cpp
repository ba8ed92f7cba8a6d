#include "taskneuron/neuron/selection.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/torch_compat.h"
#include "taskneuron/base/error.h"
#include "taskneuron/base/random.h"

namespace taskneuron {

namespace {

struct Ranked {
  double relevance;
  std::int64_t layer;
  Site site;
  std::int64_t unit;
};

bool more_relevant(const Ranked& a, const Ranked& b) {
  if (a.relevance != b.relevance) return a.relevance > b.relevance;
  if (a.layer != b.layer) return a.layer < b.layer;
  if (a.site != b.site) return a.site < b.site;
  return a.unit < b.unit;
}

NeuronSet empty_set(const SiteRelevance& relevance) {
  NeuronSet set;
  for (const auto& [site, values] : relevance) {
    set.sites[site].width = values.size(1);
    set.sites[site].units.resize(static_cast<std::size_t>(values.size(0)));
  }
  return set;
}

// Moves the most relevant `count` of ranked into the set.
void take_top(std::vector<Ranked>& ranked, std::int64_t count, NeuronSet& set) {
  std::partial_sort(ranked.begin(), ranked.begin() + count, ranked.end(), more_relevant);
  for (std::int64_t i = 0; i < count; ++i) {
    const Ranked& unit = ranked[static_cast<std::size_t>(i)];
    set.sites[unit.site].units[static_cast<std::size_t>(unit.layer)].push_back(unit.unit);
  }
}

void sort_units(NeuronSet& set) {
  for (auto& item : set.sites) {
    for (auto& layer : item.second.units) std::sort(layer.begin(), layer.end());
  }
}

void append_layer(const SiteRelevance& relevance, std::int64_t layer, std::vector<Ranked>& ranked) {
  for (const auto& [site, values] : relevance) {
    const at::Tensor row = values[layer].to(at::kDouble).contiguous();
    const double* data = row.data_ptr<double>();
    for (std::int64_t unit = 0; unit < row.numel(); ++unit) {
      if (!std::isfinite(data[unit])) {
        throw Error(fmt::format("relevance of unit {} in layer {} at site {} is not finite", unit,
                                layer, site_name(site)));
      }
      ranked.push_back({data[unit], layer, site, unit});
    }
  }
}

}  // namespace

Scope parse_scope(const std::string& name) {
  if (name == "global") return Scope::kGlobal;
  if (name == "layer") return Scope::kLayer;
  throw UsageError("scope", name, "global or layer");
}

const char* scope_name(Scope scope) { return scope == Scope::kGlobal ? "global" : "layer"; }

std::int64_t units_of_percent(double percent, std::int64_t units) {
  TN_CHECK(percent > 0 && percent <= 100);
  const double exact = percent * static_cast<double>(units) / 100;
  // A half that decimal fractions miss by a rounding error still rounds up.
  const auto rounded = static_cast<std::int64_t>(std::floor(exact + 0.5 + 1e-9));
  return std::clamp<std::int64_t>(rounded, 1, units);
}

double parse_percent(const std::string& text) {
  std::string number = text;
  if (!number.empty() && number.back() == '%') number.pop_back();
  std::size_t used = 0;
  double percent = 0;
  try {
    percent = std::stod(number, &used);
  } catch (const std::exception&) {
    used = 0;
  }
  if (number.empty() || used != number.size() || !(percent > 0 && percent <= 100)) {
    throw UsageError("top", text, "a percentage above 0 and at most 100, such as 10%",
                     "is not a share of units");
  }
  if (percent < 1 && text.back() != '%') {
    throw UsageError("top", text, "the sign",
                     fmt::format("may mean {:g}% or {:g}% of the units", 100 * percent, percent));
  }
  return percent;
}

SiteRelevance site_relevance(const Scores& scores, const std::vector<Site>& sites,
                             Aggregate aggregate) {
  SiteRelevance relevance;
  if (sites.empty()) {
    for (const auto& item : scores.sites) {
      relevance[item.first] = scores.relevance(item.first, aggregate);
    }
  }
  for (const Site site : sites) relevance[site] = scores.relevance(site, aggregate);
  return relevance;
}

SiteRelevance contrastive(const SiteRelevance& task, const std::vector<SiteRelevance>& others) {
  TN_CHECK(!others.empty());
  SiteRelevance result;
  for (const auto& [site, values] : task) {
    at::Tensor sum = at::zeros_like(values);
    for (const SiteRelevance& other : others) {
      const auto found = other.find(site);
      if (found == other.end() || found->second.sizes() != values.sizes()) {
        throw Error(
            fmt::format("scores to contrast with have another shape at site {}", site_name(site)));
      }
      sum += found->second;
    }
    result[site] = values - sum / static_cast<double>(others.size());
  }
  return result;
}

NeuronSet select_top(const SiteRelevance& relevance, double percent, Scope scope) {
  NeuronSet set = empty_set(relevance);
  const std::int64_t layers = relevance.begin()->second.size(0);
  std::vector<Ranked> ranked;
  for (std::int64_t l = 0; l < layers; ++l) {
    append_layer(relevance, l, ranked);
    if (scope == Scope::kGlobal && l + 1 < layers) continue;
    take_top(ranked, units_of_percent(percent, static_cast<std::int64_t>(ranked.size())), set);
    ranked.clear();
  }
  sort_units(set);
  set.from = {{"top", fmt::format("{}%", percent)}, {"scope", scope_name(scope)}};
  return set;
}

}  // namespace taskneuron

#include "taskneuron/neuron/ranking.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/torch_compat.h"
#include "taskneuron/base/error.h"

namespace taskneuron {

namespace {

struct Ranked {
  double relevance;
  SiteUnit at;
};

bool more_relevant(const Ranked& a, const Ranked& b) {
  if (a.relevance != b.relevance) return a.relevance > b.relevance;
  if (a.at.layer != b.at.layer) return a.at.layer < b.at.layer;
  if (a.at.site != b.at.site) return a.at.site < b.at.site;
  return a.at.unit < b.at.unit;
}

void append_site(Site site, const at::Tensor& relevance, std::vector<Ranked>& ranked) {
  const at::Tensor table = relevance.to(at::kDouble).contiguous();
  const double* value = table.data_ptr<double>();
  for (std::int64_t layer = 0; layer < table.size(0); ++layer) {
    for (std::int64_t unit = 0; unit < table.size(1); ++unit, ++value) {
      if (!std::isfinite(*value)) {
        throw Error(fmt::format("relevance of unit {} in layer {} at site {} is not finite", unit,
                                layer, site_name(site)));
      }
      ranked.push_back({*value, {site, layer, unit}});
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

Ranking::Ranking(const SiteRelevance& relevance) {
  TN_CHECK(!relevance.empty());
  std::vector<Ranked> ranked;
  for (const auto& [site, values] : relevance) {
    shapes_[site] = {values.size(0), values.size(1)};
    append_site(site, values, ranked);
  }
  layers_ = shapes_.begin()->second.layers;
  for (const auto& item : shapes_) TN_CHECK(item.second.layers == layers_);
  std::sort(ranked.begin(), ranked.end(), more_relevant);
  units_.reserve(ranked.size());
  for (const Ranked& unit : ranked) units_.push_back(unit.at);
}

NeuronSet Ranking::top(double percent, Scope scope) const {
  NeuronSet set;
  std::int64_t in_layer = 0;  // units of all sites
  for (const auto& [site, shape] : shapes_) {
    set.sites[site] = {shape.width, {}};
    set.sites[site].units.resize(static_cast<std::size_t>(layers_));
    in_layer += shape.width;
  }
  const bool global = scope == Scope::kGlobal;
  // What may still be taken: of the model, or of each layer.
  std::vector<std::int64_t> left(static_cast<std::size_t>(global ? 1 : layers_),
                                 units_of_percent(percent, global ? size() : in_layer));
  for (const SiteUnit& unit : units_) {
    const auto layer = static_cast<std::size_t>(unit.layer);
    if (left[global ? 0 : layer]-- > 0) set.sites[unit.site].units[layer].push_back(unit.unit);
  }
  for (auto& item : set.sites) {
    for (auto& layer : item.second.units) std::sort(layer.begin(), layer.end());
  }
  set.from = {{"top", fmt::format("{}%", percent)}, {"scope", scope_name(scope)}};
  return set;
}

}  // namespace taskneuron

#include "taskneuron/neuron/set_algebra.h"

#include <fmt/format.h>

#include "base/check.h"
#include "taskneuron/base/error.h"

namespace taskneuron {

namespace {

// "act 8 x 768, out 8 x 256"
std::string shape_text(const NeuronSet& set) {
  std::string text;
  for (const auto& [site, units] : set.sites) {
    text += fmt::format("{}{} {} x {}", text.empty() ? "" : ", ", site_name(site),
                        units.units.size(), units.width);
  }
  return text;
}

bool same_shapes(const NeuronSet& a, const NeuronSet& b) {
  if (a.sites.size() != b.sites.size()) return false;
  for (const auto& [site, units] : a.sites) {
    const auto other = b.sites.find(site);
    if (other == b.sites.end() || other->second.shape() != units.shape()) return false;
  }
  return true;
}

// Calls choose(units of each set, how many sets each unit is in) for every layer; what it returns
// is the result's layer.
template <typename Choose>
NeuronSet combine(const std::vector<NeuronSet>& sets, const Choose& choose) {
  TN_CHECK(!sets.empty());
  for (const NeuronSet& set : sets)
    require_same_shapes(sets.front(), set, "the first set", "another");
  NeuronSet result;
  result.model_hash = sets.front().model_hash;
  for (const auto& [site, first] : sets.front().sites) {
    NeuronSet::SiteUnits& made = result.sites[site];
    made.width = first.width;
    for (std::size_t l = 0; l < first.units.size(); ++l) {
      std::vector<std::int64_t> count(static_cast<std::size_t>(first.width), 0);
      for (const NeuronSet& set : sets) {
        for (const std::int64_t unit : set.sites.at(site).units[l]) {
          ++count[static_cast<std::size_t>(unit)];
        }
      }
      made.units.push_back(choose(first.units[l], count));
    }
  }
  return result;
}

}  // namespace

NeuronSet at_least(std::int64_t m, const std::vector<NeuronSet>& sets) {
  TN_CHECK(m >= 1);
  return combine(sets, [m](const auto&, const std::vector<std::int64_t>& count) {
    std::vector<std::int64_t> units;
    for (std::size_t unit = 0; unit < count.size(); ++unit) {
      if (count[unit] >= m) units.push_back(static_cast<std::int64_t>(unit));
    }
    return units;
  });
}

NeuronSet union_of(const std::vector<NeuronSet>& sets) { return at_least(1, sets); }

NeuronSet intersection_of(const std::vector<NeuronSet>& sets) {
  return at_least(static_cast<std::int64_t>(sets.size()), sets);
}

NeuronSet difference_of(const std::vector<NeuronSet>& sets) {
  return combine(
      sets, [](const std::vector<std::int64_t>& first, const std::vector<std::int64_t>& count) {
        std::vector<std::int64_t> units;
        for (const std::int64_t unit : first) {
          if (count[static_cast<std::size_t>(unit)] == 1) units.push_back(unit);
        }
        return units;
      });
}

void require_same_shapes(const NeuronSet& a, const NeuronSet& b, const std::string& a_name,
                         const std::string& b_name) {
  if (same_shapes(a, b)) return;
  throw Error(
      fmt::format("{} and {}: sets of different shapes ({}; {}); overlap is defined for "
                  "sets at the same sites of one model",
                  a_name, b_name, shape_text(a), shape_text(b)));
}

void require_same_model(const NeuronSet& a, const NeuronSet& b, const std::string& a_name,
                        const std::string& b_name, OtherWeights other_weights) {
  require_same_shapes(a, b, a_name, b_name);
  if (a.model_hash == b.model_hash || other_weights == OtherWeights::kAllow) return;
  throw Error(
      fmt::format("{} and {}: were made for models with other weights ({:.19}..., {:.19}...); "
                  "`allow_other_weights` compares them all the same",
                  a_name, b_name, a.model_hash, b.model_hash));
}

}  // namespace taskneuron

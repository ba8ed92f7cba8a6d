#include "taskneuron/neuron/comparison.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "base/torch_compat.h"
#include "neuron/overlap_chance.h"
#include "taskneuron/base/error.h"
#include "taskneuron/base/random.h"
#include "taskneuron/base/statistics.h"
#include "taskneuron/neuron/set_algebra.h"

namespace taskneuron {

namespace {

using Units = std::vector<std::int64_t>;

// Calls visit(width, [units of each set]) for every layer of every site.
template <typename Visit>
void for_every_layer(const std::vector<const NeuronSet*>& sets, const Visit& visit) {
  for (const NeuronSet* set : sets)
    require_same_shapes(*sets.front(), *set, "the first set", "another");
  for (const auto& [site, units] : sets.front()->sites) {
    for (std::size_t l = 0; l < units.units.size(); ++l) {
      std::vector<const Units*> of_layer;
      for (const NeuronSet* set : sets) of_layer.push_back(&set->sites.at(site).units[l]);
      visit(units.width, of_layer);
    }
  }
}

std::vector<const NeuronSet*> pointers(const std::vector<NeuronSet>& sets) {
  std::vector<const NeuronSet*> result;
  for (const NeuronSet& set : sets) result.push_back(&set);
  return result;
}

std::vector<std::int64_t> sizes_of(const std::vector<const Units*>& sets) {
  std::vector<std::int64_t> sizes;
  for (const Units* units : sets) sizes.push_back(static_cast<std::int64_t>(units->size()));
  return sizes;
}

Units intersection(const Units& a, const Units& b) {
  Units common;
  std::set_intersection(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(common));
  return common;
}

Units united(const Units& a, const Units& b) {
  Units all;
  std::set_union(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(all));
  return all;
}

double jaccard_of(double first, double second, double common) {
  const double all = first + second - common;
  return all > 0 ? common / all : 0;
}

std::optional<double> ratio_of(double observed, double expected) {
  if (expected > 0) return observed / expected;
  return std::nullopt;
}

// How many of `width` units are expected in none of independent sets.
double expected_in_none(std::int64_t width, const std::vector<std::int64_t>& sizes) {
  const auto n = static_cast<double>(width);
  double units = n;
  for (const std::int64_t size : sizes) units *= 1 - static_cast<double>(size) / n;
  return units;
}

// The size of a union of independent sets.
std::int64_t draw_union(std::int64_t width, const std::vector<std::int64_t>& sizes,
                        Random& random) {
  std::int64_t units = 0;
  for (const std::int64_t size : sizes) units += size - draw_common(width, units, size, random);
  return units;
}

// Sizes of the sets that two unions are of, in one layer.
struct MemberSizes {
  std::int64_t width = 0;
  std::vector<std::int64_t> first, second;
};

// The Jaccard index of two unions whose members are drawn anew.
double draw_jaccard(const std::vector<MemberSizes>& layers, Random& random) {
  std::int64_t first = 0, second = 0, common = 0;
  for (const MemberSizes& layer : layers) {
    const std::int64_t x = draw_union(layer.width, layer.first, random);
    const std::int64_t y = draw_union(layer.width, layer.second, random);
    first += x;
    second += y;
    common += draw_common(layer.width, x, y, random);
  }
  return jaccard_of(static_cast<double>(first), static_cast<double>(second),
                    static_cast<double>(common));
}

std::vector<double> flatten(const SiteRelevance& relevance) {
  std::vector<double> values;
  for (const auto& item : relevance) {
    const at::Tensor flat = item.second.to(at::kDouble).contiguous();
    values.insert(values.end(), flat.data_ptr<double>(), flat.data_ptr<double>() + flat.numel());
  }
  return values;
}

}  // namespace

SetComparison compare_sets(const NeuronSet& a, const NeuronSet& b, Chance chance) {
  SetComparison result;
  std::vector<double> chances = {1.0};  // by number of common units
  for_every_layer({&a, &b}, [&](std::int64_t width, const std::vector<const Units*>& sets) {
    const auto first = static_cast<std::int64_t>(sets[0]->size());
    const auto second = static_cast<std::int64_t>(sets[1]->size());
    result.first += first;
    result.second += second;
    result.common += static_cast<std::int64_t>(intersection(*sets[0], *sets[1]).size());
    result.expected_common +=
        static_cast<double>(first) * static_cast<double>(second) / static_cast<double>(width);
    if (chance == Chance::kLeaveOut) return;
    chances = convolve(chances, common_chances(width, first, second));
  });
  const auto jaccard = [&](double common) {
    return jaccard_of(static_cast<double>(result.first), static_cast<double>(result.second),
                      common);
  };
  result.jaccard = jaccard(static_cast<double>(result.common));
  if (chance == Chance::kLeaveOut) return result;
  for (std::size_t i = 0; i < chances.size(); ++i) {
    result.expected_jaccard += chances[i] * jaccard(static_cast<double>(i));
  }
  result.ratio = ratio_of(result.jaccard, result.expected_jaccard);
  result.p = upper_tail(chances, result.common);
  return result;
}

IndependentChance independent_chance(const std::vector<NeuronSet>& a,
                                     const std::vector<NeuronSet>& b, std::uint64_t seed,
                                     std::int64_t draws) {
  std::vector<MemberSizes> layers;
  IndependentChance result;
  std::vector<NeuronSet> members = a;
  members.insert(members.end(), b.begin(), b.end());
  for_every_layer(
      pointers(members), [&](std::int64_t width, const std::vector<const Units*>& sets) {
        const auto middle = sets.begin() + static_cast<std::ptrdiff_t>(a.size());
        layers.push_back({width, sizes_of({sets.begin(), middle}), sizes_of({middle, sets.end()})});
        const auto n = static_cast<double>(width);
        result.expected_common += (n - expected_in_none(width, layers.back().first)) *
                                  (n - expected_in_none(width, layers.back().second)) / n;
      });
  const double observed = compare_sets(union_of(a), union_of(b), Chance::kLeaveOut).jaccard;
  Random random(seed, "independent overlap");
  std::int64_t reached = 0;
  for (std::int64_t draw = 0; draw < draws; ++draw) {
    const double jaccard = draw_jaccard(layers, random);
    result.expected_jaccard += jaccard / static_cast<double>(draws);
    reached += jaccard >= observed - 1e-12;
  }
  result.ratio = ratio_of(observed, result.expected_jaccard);
  result.p = static_cast<double>(1 + reached) / static_cast<double>(1 + draws);
  result.draws = draws;
  return result;
}

JointOverlap joint_overlap(const std::vector<NeuronSet>& sets) {
  TN_CHECK(!sets.empty());
  JointOverlap result;
  std::vector<double> chances = {1.0};
  for_every_layer(pointers(sets), [&](std::int64_t width, const std::vector<const Units*>& layer) {
    Units common = *layer.front(), any = *layer.front();
    for (const Units* units : layer) {
      common = intersection(common, *units);
      any = united(any, *units);
    }
    result.common += static_cast<std::int64_t>(common.size());
    result.in_any += static_cast<std::int64_t>(any.size());
    const std::vector<std::int64_t> sizes = sizes_of(layer);
    double expected = static_cast<double>(width);
    for (const std::int64_t size : sizes) {
      expected *= static_cast<double>(size) / static_cast<double>(width);
    }
    result.expected_common += expected;
    result.expected_in_any += static_cast<double>(width) - expected_in_none(width, sizes);
    chances = convolve(chances, common_to_all_chances(width, sizes));
  });
  result.ratio = ratio_of(static_cast<double>(result.common), result.expected_common);
  result.p = upper_tail(chances, result.common);
  return result;
}

ScoreComparison compare_relevance(const SiteRelevance& a, const SiteRelevance& b) {
  const std::vector<double> x = flatten(a), y = flatten(b);
  return {pearson(x, y), spearman(x, y)};
}

}  // namespace taskneuron

#include "taskneuron/neuron/comparison.h"

#include <algorithm>
#include <utility>

#include "base/torch_compat.h"
#include "base/workers.h"
#include "neuron/layers_of_sets.h"
#include "neuron/overlap_chance.h"
#include "taskneuron/base/random.h"
#include "taskneuron/base/statistics.h"

namespace taskneuron {

namespace {

// The size of a union of independent sets.
std::int64_t draw_union(std::int64_t width, const std::vector<std::int64_t>& sizes,
                        const CommonDraw& draw, Random& random) {
  std::int64_t units = 0;
  for (const std::int64_t size : sizes) units += size - draw(width, units, size, random);
  return units;
}

// Sizes of the sets that two unions are of, in one layer.
struct MemberSizes {
  std::int64_t width = 0;
  std::vector<std::int64_t> first, second;
};

// The Jaccard index of two unions whose members are drawn anew.
double draw_jaccard(const std::vector<MemberSizes>& layers, const CommonDraw& draw,
                    Random& random) {
  std::int64_t first = 0, second = 0, common = 0;
  for (const MemberSizes& layer : layers) {
    const std::int64_t x = draw_union(layer.width, layer.first, draw, random);
    const std::int64_t y = draw_union(layer.width, layer.second, draw, random);
    first += x;
    second += y;
    common += draw(layer.width, x, y, random);
  }
  return jaccard_of(first, second, common);
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

IndependentChance independent_chance(const std::vector<NeuronSet>& a,
                                     const std::vector<NeuronSet>& b, std::uint64_t seed,
                                     std::int64_t draws) {
  std::vector<MemberSizes> layers;
  IndependentChance result;
  std::vector<NeuronSet> members = a;
  members.insert(members.end(), b.begin(), b.end());
  for_every_layer(pointers(members), [&](Site, std::int64_t, std::int64_t width,
                                         const std::vector<const LayerUnits*>& sets) {
    const auto middle = sets.begin() + static_cast<std::ptrdiff_t>(a.size());
    layers.push_back({width, sizes_of({sets.begin(), middle}), sizes_of({middle, sets.end()})});
    const auto n = static_cast<double>(width);
    result.expected_common += (n - expected_in_none(width, layers.back().first)) *
                              (n - expected_in_none(width, layers.back().second)) / n;
  });
  const double observed = compare_sets(union_of(a), union_of(b), Chance::kLeaveOut).jaccard;
  std::int64_t widest = 0;
  for (const MemberSizes& layer : layers) widest = std::max(widest, layer.width);
  const CommonDraw draw_common(widest);
  Random random(seed, "independent overlap");
  std::int64_t reached = 0;
  for (std::int64_t draw = 0; draw < draws; ++draw) {
    const double jaccard = draw_jaccard(layers, draw_common, random);
    result.expected_jaccard += jaccard / static_cast<double>(draws);
    reached += jaccard >= observed - 1e-12;
  }
  result.ratio = ratio_of(observed, result.expected_jaccard);
  result.p = static_cast<double>(1 + reached) / static_cast<double>(1 + draws);
  result.draws = draws;
  return result;
}

ScoreComparison compare_relevance(const SiteRelevance& a, const SiteRelevance& b) {
  return compare_all_relevance({&a, &b}).front();
}

std::vector<ScoreComparison> compare_all_relevance(
    const std::vector<const SiteRelevance*>& scores) {
  std::vector<std::vector<double>> values(scores.size()), order(scores.size());
  const auto in_parallel = [&](std::size_t count, const auto& work) {
    run_side_by_side(
        static_cast<std::int64_t>(count), at::get_num_threads(),
        [&](std::int64_t i) { work(static_cast<std::size_t>(i)); }, [](std::int64_t) {});
  };
  in_parallel(scores.size(), [&](std::size_t i) {
    values[i] = flatten(*scores[i]);
    order[i] = ranks(values[i]);
  });
  std::vector<std::pair<std::size_t, std::size_t>> pairs;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    for (std::size_t j = i + 1; j < scores.size(); ++j) pairs.emplace_back(i, j);
  }
  std::vector<ScoreComparison> found(pairs.size());
  in_parallel(pairs.size(), [&](std::size_t p) {
    const auto [a, b] = pairs[p];
    found[p] = {pearson(values[a], values[b]), pearson(order[a], order[b])};
  });
  return found;
}

}  // namespace taskneuron

// Two sets, every two of many, every layer of two: counts beside chance.
#include <iterator>
#include <memory>
#include <utility>

#include "base/torch_compat.h"
#include "base/workers.h"
#include "neuron/layers_of_sets.h"
#include "neuron/pair_chance.h"
#include "neuron/unit_bits.h"
#include "taskneuron/neuron/comparison.h"

namespace taskneuron {

namespace {

SetComparison counted(const std::vector<PairLayer>& layers, std::int64_t common) {
  SetComparison result;
  for (const PairLayer& layer : layers) {
    result.first += layer.first;
    result.second += layer.second;
  }
  result.common = common;
  result.in_any = result.first + result.second - common;
  result.jaccard = jaccard_of(result.first, result.second, common);
  return result;
}

void add_chance(const PairChance& chance, SetComparison& result) {
  result.expected_common = chance.expected_common();
  result.expected_jaccard = chance.expected_jaccard();
  result.ratio = ratio_of(result.jaccard, result.expected_jaccard);
  result.p = chance.p(result.common);
}

std::int64_t count_common(const LayerUnits& a, const LayerUnits& b) {
  LayerUnits common;
  std::set_intersection(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(common));
  return static_cast<std::int64_t>(common.size());
}

// Set i with every later one.
void compare_with_later(std::size_t i, const std::vector<UnitBits>& bits, SetComparison* row) {
  std::unique_ptr<PairChance> chance;
  for (std::size_t j = i + 1; j < bits.size(); ++j) {
    std::vector<PairLayer> sizes = bits[i].sizes(bits[j]);
    SetComparison& result = *row++;
    result = counted(sizes, bits[i].common(bits[j]));
    // Sets that were chosen within each layer have all the same sizes.
    if (!chance || chance->layers() != sizes) {
      chance = std::make_unique<PairChance>(std::move(sizes));
    }
    add_chance(*chance, result);
  }
}

}  // namespace

SetComparison compare_sets(const NeuronSet& a, const NeuronSet& b, Chance chance) {
  std::vector<PairLayer> layers;
  std::int64_t common = 0;
  for_every_layer({&a, &b}, [&](Site, std::int64_t, std::int64_t width,
                                const std::vector<const LayerUnits*>& units) {
    const std::vector<std::int64_t> sizes = sizes_of(units);
    layers.push_back({width, sizes[0], sizes[1]});
    common += count_common(*units[0], *units[1]);
  });
  SetComparison result = counted(layers, common);
  if (chance == Chance::kExpected) add_chance(PairChance(std::move(layers)), result);
  return result;
}

std::vector<SetComparison> compare_all(const std::vector<const NeuronSet*>& sets) {
  for (const NeuronSet* set : sets) {
    require_same_shapes(*sets.front(), *set, "the first set", "another");
  }
  std::vector<UnitBits> bits;
  for (const NeuronSet* set : sets) bits.emplace_back(*set);
  std::vector<SetComparison> pairs(sets.size() * (sets.size() - (sets.empty() ? 0 : 1)) / 2);
  std::vector<SetComparison*> rows;
  for (std::size_t i = 0, begin = 0; i < sets.size(); begin += sets.size() - ++i) {
    rows.push_back(pairs.data() + begin);
  }
  run_side_by_side(
      static_cast<std::int64_t>(sets.size()), at::get_num_threads(),
      [&](std::int64_t i) {
        const auto row = static_cast<std::size_t>(i);
        compare_with_later(row, bits, rows[row]);
      },
      [](std::int64_t) {});
  return pairs;
}

std::vector<LayerComparison> compare_layers(const NeuronSet& a, const NeuronSet& b) {
  std::vector<LayerComparison> result;
  for_every_layer({&a, &b}, [&](Site site, std::int64_t layer, std::int64_t width,
                                const std::vector<const LayerUnits*>& units) {
    const std::vector<PairLayer> sizes = {{width, static_cast<std::int64_t>(units[0]->size()),
                                           static_cast<std::int64_t>(units[1]->size())}};
    result.push_back({site, layer, counted(sizes, count_common(*units[0], *units[1]))});
    add_chance(PairChance(sizes), result.back().overlap);
  });
  return result;
}

}  // namespace taskneuron

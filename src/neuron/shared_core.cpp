#include "taskneuron/neuron/shared_core.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "base/torch_compat.h"
#include "base/workers.h"
#include "neuron/layers_of_sets.h"
#include "neuron/overlap_chance.h"

namespace taskneuron {

namespace {

constexpr std::int64_t kMostDraws = 9999;
constexpr std::int64_t kFewestDraws = 199;
// Draws of hypergeometric counts, a fifth of a microsecond each.
constexpr std::int64_t kDrawnCounts = 60'000'000;
constexpr std::int64_t kDrawsAtOnce = 32;

struct CoreLayer {
  Site site = Site::kAct;
  std::int64_t width = 0;
  std::vector<std::int64_t> sizes;
  // By how many sets they are in: the layer's units, and how many there would be by chance.
  std::vector<std::int64_t> units;
  std::vector<double> expected;
  // By set: units that no other has.
  std::vector<std::int64_t> privates;
};

// P(a unit is in c of the sets) by c, which is Poisson-binomial, times the layer's width.
std::vector<double> expected_by_sets(std::int64_t width, const std::vector<std::int64_t>& sizes) {
  std::vector<double> units(sizes.size() + 1, 0.0);
  units[0] = static_cast<double>(width);
  for (std::size_t s = 0; s < sizes.size(); ++s) {
    const double share = static_cast<double>(sizes[s]) / static_cast<double>(width);
    for (std::size_t c = s + 1; c > 0; --c) {
      units[c] = units[c] * (1 - share) + units[c - 1] * share;
    }
    units[0] *= 1 - share;
  }
  return units;
}

CoreLayer count_layer(Site site, std::int64_t width, const std::vector<const LayerUnits*>& sets) {
  CoreLayer layer = {site, width, sizes_of(sets), {}, {}, {}};
  std::vector<std::size_t> in(static_cast<std::size_t>(width), 0);
  for (const LayerUnits* units : sets) {
    for (const std::int64_t unit : *units) ++in[static_cast<std::size_t>(unit)];
  }
  layer.units.assign(sets.size() + 1, 0);
  for (const std::size_t count : in) ++layer.units[count];
  layer.expected = expected_by_sets(width, layer.sizes);
  for (const LayerUnits* units : sets) {
    layer.privates.push_back(std::count_if(units->begin(), units->end(), [&](std::int64_t unit) {
      return in[static_cast<std::size_t>(unit)] == 1;
    }));
  }
  return layer;
}

template <typename Number>
Number sum_from(std::size_t m, const std::vector<Number>& by_sets) {
  Number sum = 0;
  for (std::size_t c = m; c < by_sets.size(); ++c) sum += by_sets[c];
  return sum;
}

// How many units are in c of the sets, by c, where every set is drawn anew: each takes its share of
// the units that are in c of those before it, from the many to the few.
std::vector<std::int64_t> draw_layer(const CoreLayer& layer, const CommonDraw& draw,
                                     Random& random) {
  std::vector<std::int64_t> units(layer.sizes.size() + 1, 0);
  units[0] = layer.width;
  for (std::size_t s = 0; s < layer.sizes.size(); ++s) {
    std::int64_t left = layer.width, wanted = layer.sizes[s];
    for (std::size_t c = s + 1; c-- > 0 && wanted > 0;) {
      if (units[c] == 0) continue;
      const std::int64_t taken = draw(left, units[c], wanted, random);
      left -= units[c];
      wanted -= taken;
      units[c] -= taken;
      units[c + 1] += taken;
    }
  }
  return units;
}

std::int64_t affordable_draws(const std::vector<CoreLayer>& layers) {
  std::int64_t counts = 1;  // that one draw of all layers takes
  for (const CoreLayer& layer : layers) {
    // By chance few units are in many sets: those numbers of sets cost nothing.
    const auto numbers = std::count_if(layer.expected.begin(), layer.expected.end(),
                                       [](double units) { return units > 0.5; });
    counts += static_cast<std::int64_t>(layer.sizes.size()) * (numbers + 1);
  }
  return std::clamp(kDrawnCounts / counts, kFewestDraws, kMostDraws);
}

// [draw][m − 1]: units in m sets or more.
std::vector<std::vector<std::int64_t>> draw_cores(const std::vector<CoreLayer>& layers,
                                                  std::int64_t draws, std::uint64_t seed) {
  const std::size_t sets = layers.front().sizes.size();
  std::int64_t widest = 0;
  for (const CoreLayer& layer : layers) widest = std::max(widest, layer.width);
  const CommonDraw draw(widest);
  std::vector<std::vector<std::int64_t>> cores(static_cast<std::size_t>(draws));
  const auto work = [&](std::int64_t piece) {
    Random random(seed, fmt::format("shared core {}", piece));
    const std::int64_t end = std::min(draws, (piece + 1) * kDrawsAtOnce);
    for (std::int64_t d = piece * kDrawsAtOnce; d < end; ++d) {
      std::vector<std::int64_t> units(sets + 1, 0);
      for (const CoreLayer& layer : layers) {
        const std::vector<std::int64_t> drawn = draw_layer(layer, draw, random);
        for (std::size_t c = 0; c <= sets; ++c) units[c] += drawn[c];
      }
      for (std::size_t m = 1; m <= sets; ++m) {
        cores[static_cast<std::size_t>(d)].push_back(sum_from(m, units));
      }
    }
  };
  run_side_by_side((draws + kDrawsAtOnce - 1) / kDrawsAtOnce, at::get_num_threads(), work,
                   [](std::int64_t) {});
  return cores;
}

CoreUnits core_of(std::size_t m, const std::vector<CoreLayer>& layers) {
  CoreUnits core;
  core.m = static_cast<std::int64_t>(m);
  for (const CoreLayer& layer : layers) {
    core.layers[layer.site].push_back(sum_from(m, layer.units));
    core.units += sum_from(m, layer.units);
    core.expected += sum_from(m, layer.expected);
  }
  core.ratio = ratio_of(static_cast<double>(core.units), core.expected);
  return core;
}

PrivateUnits privates_of(std::size_t set, const std::vector<CoreLayer>& layers) {
  PrivateUnits privates;
  for (const CoreLayer& layer : layers) {
    privates.layers[layer.site].push_back(layer.privates[set]);
    privates.units += layer.privates[set];
    double expected = static_cast<double>(layer.sizes[set]);
    for (std::size_t other = 0; other < layer.sizes.size(); ++other) {
      if (other == set) continue;
      expected *= 1 - static_cast<double>(layer.sizes[other]) / static_cast<double>(layer.width);
    }
    privates.expected += expected;
  }
  privates.ratio = ratio_of(static_cast<double>(privates.units), privates.expected);
  return privates;
}

}  // namespace

SharedCore shared_core(const std::vector<NeuronSet>& sets, const CoreOptions& options) {
  const auto all = static_cast<std::int64_t>(sets.size());
  TN_CHECK(options.m.value_or(1) >= 1 && options.m.value_or(1) <= all);
  std::vector<CoreLayer> layers;
  for_every_layer(pointers(sets), [&](Site site, std::int64_t, std::int64_t width,
                                      const std::vector<const LayerUnits*>& units) {
    layers.push_back(count_layer(site, width, units));
  });
  SharedCore found;
  found.together = joint_overlap(sets);
  found.draws = options.draws.value_or(affordable_draws(layers));
  const auto drawn = draw_cores(layers, found.draws, options.seed);
  for (std::int64_t least = options.m.value_or(1); least <= options.m.value_or(all); ++least) {
    const auto index = static_cast<std::size_t>(least);
    CoreUnits core = core_of(index, layers);
    const auto reached = std::count_if(drawn.begin(), drawn.end(), [&](const auto& units) {
      return units[index - 1] >= core.units;
    });
    core.p = static_cast<double>(1 + reached) / static_cast<double>(1 + found.draws);
    if (least == all) core.p = found.together.p;
    found.core.push_back(std::move(core));
  }
  for (std::size_t s = 0; s < sets.size(); ++s) found.privates.push_back(privates_of(s, layers));
  return found;
}

}  // namespace taskneuron

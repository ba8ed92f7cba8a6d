// Sets that have nothing to do with each other: how often p says otherwise.
#include <cmath>
#include <numeric>

#include "neuron/overlap_chance.h"
#include "neuron/pair_chance.h"
#include "support/support.h"
#include "taskneuron/base/random.h"
#include "taskneuron/neuron/comparison.h"
#include "taskneuron/neuron/shared_core.h"

namespace taskneuron {
namespace {

constexpr double kAlphas[] = {0.01, 0.05, 0.1, 0.5};

// Sizes vary, so that the steps of p, which is discrete, lie elsewhere each time.
NeuronSet draw_set(std::int64_t layers, std::int64_t width, Random& random) {
  NeuronSet set;
  set.sites[Site::kAct].width = width;
  for (std::int64_t l = 0; l < layers; ++l) {
    const auto size =
        static_cast<std::uint64_t>(width) / 5 + random.below(static_cast<std::uint64_t>(width) / 4);
    set.sites[Site::kAct].units.push_back(random.sample(width, static_cast<std::int64_t>(size)));
  }
  return set;
}

// How fine the steps of p are.
enum class Steps { kFine, kCoarse };

// The shares of p at or below each alpha are not above it, and where p has fine steps, at most 0.01
// below.
void expect_level(const std::vector<double>& p, Steps steps) {
  const auto draws = static_cast<double>(p.size());
  for (const double alpha : kAlphas) {
    double reached = 0;
    for (const double value : p) reached += value <= alpha ? 1 / draws : 0;
    const double error = 3.3 * std::sqrt(alpha * (1 - alpha) / draws);
    EXPECT_LE(reached, alpha + error) << alpha;
    if (steps == Steps::kCoarse) continue;
    EXPECT_GE(reached, alpha - 0.01 - error) << alpha;
  }
}

// P(p ≤ alpha) of two sets of these sizes, from the law of what they have in common, for each
// alpha.
std::vector<double> levels(const std::vector<PairLayer>& layers) {
  const PairChance chance(layers);
  std::vector<CountChances> counts;
  for (const PairLayer& layer : layers) {
    counts.push_back(common_chances(layer.width, layer.first, layer.second));
  }
  const CountChances all = convolve_all(counts);
  std::vector<double> reached;
  for (const double alpha : kAlphas) {
    std::int64_t low = all.first, high = all.end();  // the first count with such a p
    while (low < high) {
      const std::int64_t middle = (low + high) / 2;
      if (chance.p(middle) <= alpha) {
        high = middle;
      } else {
        low = middle + 1;
      }
    }
    reached.push_back(
        std::accumulate(all.chance.begin() + (low - all.first), all.chance.end(), 0.0));
  }
  return reached;
}

// Exactly: never above alpha, and within .01 of it as far as the steps of p, which is discrete, are
// that fine: at .05 from thousands of units on, at .5 from hundreds of thousands.
TEST(OverlapSimulation, LevelOfPairsIsExact) {
  Random random(10, "exact level");
  struct Shape {
    std::size_t layers;
    std::uint64_t width;
    double up_to;  // alphas
  };
  for (const Shape& shape : {Shape{3, 1500, 0.05}, Shape{12, 3072, 0.1}, Shape{32, 11008, 0.5}}) {
    for (int i = 0; i < 3; ++i) {
      std::vector<PairLayer> layers;
      for (std::size_t l = 0; l < shape.layers; ++l) {
        const auto size = [&] {
          return static_cast<std::int64_t>(shape.width / 10 + random.below(shape.width / 5));
        };
        layers.push_back({static_cast<std::int64_t>(shape.width), size(), size()});
      }
      const std::vector<double> found = levels(layers);
      for (std::size_t a = 0; a < found.size(); ++a) {
        EXPECT_LE(found[a], kAlphas[a] + 1e-9);
        if (kAlphas[a] <= shape.up_to) {
          EXPECT_GE(found[a], kAlphas[a] - 0.01) << shape.width << " " << kAlphas[a];
        }
      }
    }
  }
}

TEST(OverlapSimulation, PairsKeepTheirLevel) {
  Random random(7, "overlap level");
  std::vector<double> p;
  for (int draw = 0; draw < 4000; ++draw) {
    const NeuronSet a = draw_set(3, 1500, random), b = draw_set(3, 1500, random);
    p.push_back(compare_sets(a, b).p);
  }
  expect_level(p, Steps::kFine);
}

TEST(OverlapSimulation, CoresKeepTheirLevel) {
  Random random(8, "core level");
  std::vector<std::vector<double>> p(3);
  for (int draw = 0; draw < 1000; ++draw) {
    std::vector<NeuronSet> sets;
    for (int s = 0; s < 4; ++s) sets.push_back(draw_set(2, 2000, random));
    const SharedCore found =
        shared_core(sets, {.m = {}, .seed = static_cast<std::uint64_t>(draw), .draws = 99});
    for (std::size_t m = 2; m <= 4; ++m) p[m - 2].push_back(found.core[m - 1].p);
  }
  expect_level(p[0], Steps::kFine);
  expect_level(p[1], Steps::kFine);
  expect_level(p[2], Steps::kCoarse);  // few units are in all four
}

TEST(OverlapSimulation, UnionsKeepTheirLevel) {
  Random random(9, "union level");
  std::vector<double> p;
  for (int draw = 0; draw < 1500; ++draw) {
    const std::vector<NeuronSet> a = {draw_set(2, 600, random), draw_set(2, 600, random)};
    const std::vector<NeuronSet> b = {draw_set(2, 600, random)};
    p.push_back(independent_chance(a, b, static_cast<std::uint64_t>(draw), 199).p);
  }
  expect_level(p, Steps::kFine);
}

}  // namespace
}  // namespace taskneuron

#include <cmath>

#include "base/check.h"
#include "neuron/layers_of_sets.h"
#include "neuron/overlap_chance.h"
#include "taskneuron/neuron/comparison.h"
#include "taskneuron/neuron/shared_core.h"

namespace taskneuron {

namespace {

struct JointLayer {
  std::int64_t width = 0;
  std::vector<std::int64_t> sizes;
  double expected = 0;  // units in every set
};

// Of at least `observed` common units, Chernoff's bound for units that are independent. Sets of
// fixed sizes make them negatively associated, for which it holds as well (Joag-Dev & Proschan
// 1983).
double log_bound(std::int64_t observed, const std::vector<JointLayer>& layers) {
  double low = 0, high = 200, bound = 0;
  while (high - low > 1e-6) {
    const double tilt = (low + high) / 2;
    double expected = 0;
    bound = -tilt * static_cast<double>(observed);
    for (const JointLayer& layer : layers) {
      const auto n = static_cast<double>(layer.width);
      const double share = layer.expected / n;
      const double sum = 1 + share * std::expm1(tilt);
      expected += n * share * std::exp(tilt) / sum;
      bound += n * std::log(sum);
    }
    (expected < static_cast<double>(observed) ? low : high) = tilt;
  }
  return bound;
}

double p_of_common(std::int64_t observed, const std::vector<JointLayer>& layers) {
  if (log_bound(observed, layers) < std::log(kSmallestOverlapP)) return kSmallestOverlapP;
  CountChances chances;
  for (const JointLayer& layer : layers) {
    chances = convolve(chances, common_to_all_chances(layer.width, layer.sizes));
  }
  return upper_tail(chances, observed);
}

}  // namespace

JointOverlap joint_overlap(const std::vector<NeuronSet>& sets) {
  TN_CHECK(!sets.empty());
  JointOverlap result;
  std::vector<JointLayer> layers;
  for_every_layer(pointers(sets), [&](Site, std::int64_t, std::int64_t width,
                                      const std::vector<const LayerUnits*>& of_layer) {
    const std::vector<std::int64_t> sizes = sizes_of(of_layer);
    double expected = static_cast<double>(width);
    for (const std::int64_t size : sizes) {
      expected *= static_cast<double>(size) / static_cast<double>(width);
    }
    result.expected_common += expected;
    result.expected_in_any += static_cast<double>(width) - expected_in_none(width, sizes);
    layers.push_back({width, sizes, expected});
  });
  result.common = intersection_of(sets).size();
  result.in_any = union_of(sets).size();
  result.ratio = ratio_of(static_cast<double>(result.common), result.expected_common);
  result.p = p_of_common(result.common, layers);
  return result;
}

}  // namespace taskneuron

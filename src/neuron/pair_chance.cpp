#include "neuron/pair_chance.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "neuron/hypergeometric.h"
#include "taskneuron/neuron/comparison.h"

namespace taskneuron {

namespace {

// What is left out of each layer's counts: all of it together is below 1e-14.
constexpr double kNegligible = 1e-17;
// Down to here tails of the body keep ten digits.
constexpr double kBodyP = 1e-4;

std::vector<Hypergeometric> laws_of(const std::vector<PairLayer>& layers) {
  std::vector<Hypergeometric> laws;
  for (const PairLayer& layer : layers) {
    laws.emplace_back(layer.width, layer.first, layer.second);
  }
  return laws;
}

// The log of the weight under which about `observed` common units are expected.
double tilt_towards(std::int64_t observed, const std::vector<Hypergeometric>& laws) {
  double low = 0, high = 200;
  while (high - low > 1e-3 * (1 + low)) {
    const double middle = (low + high) / 2;
    double expected = 0;
    for (const Hypergeometric& law : laws) expected += law.rough_mean(std::exp(middle));
    (expected < static_cast<double>(observed) ? low : high) = middle;
  }
  return (low + high) / 2;
}

}  // namespace

PairChance::PairChance(std::vector<PairLayer> layers) : layers_(std::move(layers)) {
  std::int64_t units = 0;
  std::vector<CountChances> counts = {{}};
  for (const PairLayer& layer : layers_) {
    units += layer.first + layer.second;
    expected_common_ += static_cast<double>(layer.first) * static_cast<double>(layer.second) /
                        static_cast<double>(layer.width);
    if (layer.first == 0 || layer.second == 0) continue;
    counts.push_back(common_chances(layer.width, layer.first, layer.second, kNegligible));
  }
  counts_ = convolve_all(std::move(counts), kNegligible);
  double sum = 0, jaccard = 0;
  for (std::int64_t common = counts_.first; common < counts_.end(); ++common) {
    const double chance = counts_.chance[static_cast<std::size_t>(common - counts_.first)];
    sum += chance;
    if (common == 0) continue;
    jaccard += chance * static_cast<double>(common) / static_cast<double>(units - common);
  }
  expected_jaccard_ = jaccard / sum;
}

double PairChance::p(std::int64_t observed) const {
  const double tail = upper_tail(counts_, observed);
  return tail >= kBodyP ? tail : far_p(observed);
}

// With P'(i) ∝ P(i)·w^i, P(common ≥ x) = Σ_{i ≥ x} P'(i)·w^−i·Σ_k P(k)·w^k. Where w puts x into the
// body of P', few counts matter, and none is too unlikely for a double.
double PairChance::far_p(std::int64_t observed) const {
  const std::vector<Hypergeometric> laws = laws_of(layers_);
  std::int64_t highest = 0;
  for (const Hypergeometric& law : laws) highest += law.highest();
  TN_CHECK(observed <= highest);
  const double tilt = tilt_towards(observed, laws);
  std::vector<CountChances> counts;
  std::int64_t modes = 0;
  double log_sum = 0;
  for (const Hypergeometric& law : laws) {
    TiltedChances tilted = tilted_chances(law, std::exp(tilt), kNegligible);
    modes += tilted.mode;
    log_sum += tilted.log_sum;
    counts.push_back(std::move(tilted.counts));
  }
  // Chernoff's bound.
  const double log_bound = log_sum + tilt * static_cast<double>(modes - observed);
  if (log_bound < std::log(kSmallestOverlapP)) return kSmallestOverlapP;
  const CountChances sum = convolve_all(std::move(counts), kNegligible);
  double tail = 0;
  for (std::int64_t i = std::max(observed, sum.first); i < sum.end(); ++i) {
    tail += sum.chance[static_cast<std::size_t>(i - sum.first)] *
            std::exp(tilt * static_cast<double>(observed - i));
  }
  return std::clamp(tail * std::exp(log_bound), kSmallestOverlapP, 1.0);
}

}  // namespace taskneuron

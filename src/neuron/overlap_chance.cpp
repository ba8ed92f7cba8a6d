#include "neuron/overlap_chance.h"

#include <algorithm>
#include <cmath>

#include "taskneuron/base/error.h"
#include "taskneuron/neuron/comparison.h"

namespace taskneuron {

namespace {

constexpr double kNegligible = 1e-300;  // products of what is below add nothing to a double

double log_choose(double n, double k) {
  return std::lgamma(n + 1) - std::lgamma(k + 1) - std::lgamma(n - k + 1);
}

// The numbers of common units that can be, the likeliest of them, and how likely neighbours are.
struct Hypergeometric {
  Hypergeometric(std::int64_t width, std::int64_t first, std::int64_t second)
      : n(static_cast<double>(width)),
        a(static_cast<double>(first)),
        b(static_cast<double>(second)),
        lowest(std::max<std::int64_t>(0, first + second - width)),
        highest(std::min(first, second)),
        mode(std::clamp((first + 1) * (second + 1) / (width + 2), lowest, highest)) {}

  // P(i + 1) / P(i)
  double up(std::int64_t i) const {
    const auto x = static_cast<double>(i);
    return (a - x) * (b - x) / ((x + 1) * (n - a - b + x + 1));
  }
  double chance_of_mode() const {
    const auto x = static_cast<double>(mode);
    return std::exp(log_choose(a, x) + log_choose(n - a, b - x) - log_choose(n, b));
  }

  double n, a, b;
  std::int64_t lowest, highest, mode;
};

}  // namespace

std::vector<double> common_chances(std::int64_t width, std::int64_t a, std::int64_t b) {
  const Hypergeometric law(width, a, b);
  std::vector<double> chance(static_cast<std::size_t>(law.highest) + 1, 0.0);
  const auto at = [&](std::int64_t i) -> double& { return chance[static_cast<std::size_t>(i)]; };
  at(law.mode) = 1;
  for (std::int64_t i = law.mode; i < law.highest; ++i) at(i + 1) = at(i) * law.up(i);
  for (std::int64_t i = law.mode; i > law.lowest; --i) at(i - 1) = at(i) / law.up(i - 1);
  double sum = 0;
  for (const double value : chance) sum += value;
  for (double& value : chance) value /= sum;
  return chance;
}

std::vector<double> common_to_all_chances(std::int64_t width,
                                          const std::vector<std::int64_t>& sizes) {
  TN_CHECK(!sizes.empty());
  std::vector<double> chances(static_cast<std::size_t>(sizes.front()) + 1, 0.0);
  chances.back() = 1;
  for (std::size_t s = 1; s < sizes.size(); ++s) {
    std::vector<double> next(std::min(chances.size(), static_cast<std::size_t>(sizes[s]) + 1), 0.0);
    for (std::size_t common = 0; common < chances.size(); ++common) {
      if (chances[common] < kNegligible) continue;
      const std::vector<double> kept =
          common_chances(width, static_cast<std::int64_t>(common), sizes[s]);
      for (std::size_t i = 0; i < kept.size(); ++i) next[i] += chances[common] * kept[i];
    }
    chances = std::move(next);
  }
  return chances;
}

std::vector<double> convolve(const std::vector<double>& a, const std::vector<double>& b) {
  std::vector<double> sum(a.size() + b.size() - 1, 0.0);
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i] < kNegligible) continue;
    for (std::size_t j = 0; j < b.size(); ++j) sum[i + j] += a[i] * b[j];
  }
  return sum;
}

double upper_tail(const std::vector<double>& chances, std::int64_t observed) {
  double tail = 0;
  for (auto i = static_cast<std::int64_t>(chances.size()) - 1; i >= observed; --i) {
    tail += chances[static_cast<std::size_t>(i)];
  }
  return std::clamp(tail, kSmallestOverlapP, 1.0);
}

std::int64_t draw_common(std::int64_t width, std::int64_t a, std::int64_t b, Random& random) {
  const Hypergeometric law(width, a, b);
  const double at_mode = law.chance_of_mode();
  // Inversion, outwards from where most draws end.
  double rest = random.uniform() - at_mode, below = at_mode, above = at_mode;
  std::int64_t low = law.mode, high = law.mode;
  if (rest < 0) return law.mode;
  while (low > law.lowest || high < law.highest) {
    if (high < law.highest) {
      above *= law.up(high);
      ++high;
      if ((rest -= above) < 0) return high;
    }
    if (low > law.lowest) {
      --low;
      below /= law.up(low);
      if ((rest -= below) < 0) return low;
    }
  }
  return law.mode;
}

}  // namespace taskneuron

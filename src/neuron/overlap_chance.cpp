#include "neuron/overlap_chance.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/check.h"
#include "neuron/hypergeometric.h"
#include "taskneuron/neuron/comparison.h"

namespace taskneuron {

namespace {

// Leaves out what both ends hold of next to nothing.
void trim(CountChances& counts, double least) {
  std::vector<double>& chance = counts.chance;
  const double bound = *std::max_element(chance.begin(), chance.end()) * least;
  const auto counts_there = [bound](double value) { return value >= bound && value > 0; };
  const auto begin = std::find_if(chance.begin(), chance.end(), counts_there);
  const auto end = std::find_if(chance.rbegin(), chance.rend(), counts_there).base();
  counts.first += begin - chance.begin();
  chance = std::vector<double>(begin, end);
}

// sum[i + j] += a[i] · b[j]. Four of a at a time: each sum is then fetched and stored a quarter as
// often.
void add_products(const std::vector<double>& a, const std::vector<double>& b,
                  std::vector<double>& sum) {
  constexpr std::size_t kBlock = 4;
  std::vector<double> padded(b.size() + 2 * (kBlock - 1), 0.0);
  std::copy(b.begin(), b.end(), padded.begin() + kBlock - 1);
  std::size_t i = 0;
  for (; i + kBlock <= a.size(); i += kBlock) {
    const double a0 = a[i], a1 = a[i + 1], a2 = a[i + 2], a3 = a[i + 3];
    double* out = sum.data() + i;
    const double* in = padded.data();
    for (std::size_t j = 0; j < b.size() + kBlock - 1; ++j) {
      out[j] += a0 * in[j + 3] + a1 * in[j + 2] + a2 * in[j + 1] + a3 * in[j];
    }
  }
  for (; i < a.size(); ++i) {
    for (std::size_t j = 0; j < b.size(); ++j) sum[i + j] += a[i] * b[j];
  }
}

}  // namespace

CountChances common_chances(std::int64_t width, std::int64_t a, std::int64_t b, double least) {
  return tilted_chances(Hypergeometric(width, a, b), 1, least).counts;
}

CountChances common_to_all_chances(std::int64_t width, std::vector<std::int64_t> sizes) {
  TN_CHECK(!sizes.empty());
  std::sort(sizes.begin(), sizes.end());
  CountChances counts = {sizes.front(), {1.0}};
  for (std::size_t s = 1; s < sizes.size(); ++s) {
    CountChances next = {0, std::vector<double>(static_cast<std::size_t>(counts.end()), 0.0)};
    for (std::size_t i = 0; i < counts.chance.size(); ++i) {
      const CountChances kept =
          common_chances(width, counts.first + static_cast<std::int64_t>(i), sizes[s]);
      double* out = next.chance.data() + kept.first;
      for (std::size_t k = 0; k < kept.chance.size(); ++k) {
        out[k] += counts.chance[i] * kept.chance[k];
      }
    }
    trim(next, kImpossible);
    counts = std::move(next);
  }
  return counts;
}

CountChances convolve(const CountChances& a, const CountChances& b, double least) {
  CountChances sum = {a.first + b.first,
                      std::vector<double>(a.chance.size() + b.chance.size() - 1, 0.0)};
  if (a.chance.size() < b.chance.size()) {
    add_products(a.chance, b.chance, sum.chance);
  } else {
    add_products(b.chance, a.chance, sum.chance);
  }
  trim(sum, least);
  return sum;
}

CountChances convolve_all(std::vector<CountChances> counts, double least) {
  TN_CHECK(!counts.empty());
  while (counts.size() > 1) {
    std::vector<CountChances> sums;
    for (std::size_t i = 0; i + 1 < counts.size(); i += 2) {
      sums.push_back(convolve(counts[i], counts[i + 1], least));
    }
    if (counts.size() % 2 == 1) sums.push_back(std::move(counts.back()));
    counts = std::move(sums);
  }
  return std::move(counts.front());
}

double upper_tail(const CountChances& chances, std::int64_t observed) {
  double tail = 0;
  for (std::int64_t i = chances.end() - 1; i >= std::max(observed, chances.first); --i) {
    tail += chances.chance[static_cast<std::size_t>(i - chances.first)];
  }
  return observed <= chances.first ? 1.0 : std::clamp(tail, kSmallestOverlapP, 1.0);
}

CommonDraw::CommonDraw(std::int64_t widest) {
  for (std::int64_t i = 0; i <= widest; ++i) {
    log_factorial_.push_back(std::lgamma(static_cast<double>(i) + 1));
  }
}

std::int64_t CommonDraw::operator()(std::int64_t width, std::int64_t a, std::int64_t b,
                                    Random& random) const {
  const Hypergeometric law(width, a, b);
  const std::int64_t mode = law.mode();
  if (law.lowest() == law.highest()) return mode;
  const auto log_choose = [this](std::int64_t n, std::int64_t k) {
    const auto at = [this](std::int64_t i) { return log_factorial_[static_cast<std::size_t>(i)]; };
    return at(n) - at(k) - at(n - k);
  };
  const double at_mode =
      std::exp(log_choose(a, mode) + log_choose(width - a, b - mode) - log_choose(width, b));
  // Inversion, outwards from where most draws end.
  double rest = random.uniform() - at_mode, below = at_mode, above = at_mode;
  std::int64_t low = mode, high = mode;
  if (rest < 0) return mode;
  while (low > law.lowest() || high < law.highest()) {
    if (high < law.highest()) {
      above *= law.up(high);
      ++high;
      if ((rest -= above) < 0) return high;
    }
    if (low > law.lowest()) {
      --low;
      below /= law.up(low);
      if ((rest -= below) < 0) return low;
    }
  }
  return mode;
}

}  // namespace taskneuron

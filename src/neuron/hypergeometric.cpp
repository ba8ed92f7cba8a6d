#include "neuron/hypergeometric.h"

#include <algorithm>
#include <cmath>

namespace taskneuron {

namespace {

long double log_choose(double n, double k) {
  return std::lgamma(static_cast<long double>(n) + 1) -
         std::lgamma(static_cast<long double>(k) + 1) -
         std::lgamma(static_cast<long double>(n) - k + 1);
}

// The counts on one side of the mode, outwards, next to the mode's 1.
template <typename Next>
std::vector<double> outwards(std::int64_t steps, double least, const Next& next) {
  std::vector<double> chances;
  double chance = 1;
  for (std::int64_t i = 0; i < steps && (chance *= next(i)) >= least; ++i) {
    chances.push_back(chance);
  }
  return chances;
}

}  // namespace

Hypergeometric::Hypergeometric(std::int64_t width, std::int64_t first, std::int64_t second)
    : n_(static_cast<double>(width)),
      a_(static_cast<double>(first)),
      b_(static_cast<double>(second)),
      lowest_(std::max<std::int64_t>(0, first + second - width)),
      highest_(std::min(first, second)) {}

double Hypergeometric::up(std::int64_t i) const {
  const auto x = static_cast<double>(i);
  return (a_ - x) * (b_ - x) / ((x + 1) * (n_ - a_ - b_ + x + 1));
}

// The root of (a − m)(b − m)·weight = m(n − a − b + m) between the lowest and the highest count.
double Hypergeometric::rough_mean(double weight) const {
  const double square = weight - 1;
  const double linear = (a_ + b_) * weight + n_ - a_ - b_;
  const double rest = a_ * b_ * weight;
  const double root =
      2 * rest / (linear + std::sqrt(std::max(0.0, linear * linear - 4 * square * rest)));
  return std::clamp(root, static_cast<double>(lowest_), static_cast<double>(highest_));
}

std::int64_t Hypergeometric::mode(double weight) const {
  auto i = std::clamp(static_cast<std::int64_t>(rough_mean(weight)), lowest_, highest_);
  while (i < highest_ && up(i) * weight > 1) ++i;
  while (i > lowest_ && up(i - 1) * weight < 1) --i;
  return i;
}

long double Hypergeometric::log_chance(std::int64_t i) const {
  const auto x = static_cast<double>(i);
  return log_choose(a_, x) + log_choose(n_ - a_, b_ - x) - log_choose(n_, b_);
}

TiltedChances tilted_chances(const Hypergeometric& law, double weight, double least) {
  TiltedChances tilted;
  tilted.mode = law.mode(weight);
  const std::vector<double> below =
      outwards(tilted.mode - law.lowest(), least,
               [&](std::int64_t i) { return 1 / (law.up(tilted.mode - i - 1) * weight); });
  const std::vector<double> above =
      outwards(law.highest() - tilted.mode, least,
               [&](std::int64_t i) { return law.up(tilted.mode + i) * weight; });
  tilted.counts.first = tilted.mode - static_cast<std::int64_t>(below.size());
  std::vector<double>& chance = tilted.counts.chance;
  chance.assign(below.rbegin(), below.rend());
  chance.push_back(1);
  chance.insert(chance.end(), above.begin(), above.end());
  double sum = 0;
  for (const double value : chance) sum += value;
  for (double& value : chance) value /= sum;
  tilted.log_sum = static_cast<double>(law.log_chance(tilted.mode)) + std::log(sum);
  return tilted;
}

}  // namespace taskneuron

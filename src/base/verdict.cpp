// From single tests to what may be said: families of tests, and verdicts on claims.
#include <algorithm>
#include <numeric>

#include "base/adjust.h"
#include "taskneuron/base/error.h"
#include "taskneuron/base/inference.h"

namespace taskneuron {

std::vector<double> benjamini_hochberg(const std::vector<double>& p) {
  std::vector<std::size_t> order(p.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return p[a] > p[b]; });
  std::vector<double> adjusted(p.size());
  double smallest = 1;
  for (std::size_t i = 0; i < order.size(); ++i) {
    const auto rank = static_cast<double>(order.size() - i);
    smallest = std::min(smallest, p[order[i]] * static_cast<double>(p.size()) / rank);
    adjusted[order[i]] = smallest;
  }
  return adjusted;
}

std::vector<double> holm(const std::vector<double>& p) {
  std::vector<std::size_t> order(p.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return p[a] < p[b]; });
  std::vector<double> adjusted(p.size(), 1);
  double largest = 0;
  for (std::size_t rank = 0; rank < order.size(); ++rank) {
    const double factor = static_cast<double>(order.size() - rank);
    largest = std::max(largest, std::min(1.0, factor * p[order[rank]]));
    adjusted[order[rank]] = largest;
  }
  return adjusted;
}

void adjust(const std::vector<Contrast*>& family) { adjust_family(family); }

const char* verdict_name(Verdict verdict) {
  switch (verdict) {
    case Verdict::kAgrees: return "agrees";
    case Verdict::kDoesNot: return "does not";
    case Verdict::kUndetermined: return "undetermined";
  }
  TN_CHECK(false);
}

Verdict judge(const Contrast& contrast, Claim claim, double matters) {
  if (!contrast.interval) return Verdict::kUndetermined;
  const Interval& interval = *contrast.interval;
  const bool higher = claim == Claim::kHigher;
  const double smallest = higher ? interval.low : -interval.high;  // in the claimed direction
  const double largest = higher ? interval.high : -interval.low;
  const std::optional<double> p = contrast.p_adjusted ? contrast.p_adjusted : contrast.p();
  if (p && *p <= kAlpha && smallest > 0) return Verdict::kAgrees;
  return largest < matters ? Verdict::kDoesNot : Verdict::kUndetermined;
}

}  // namespace taskneuron

#include "taskneuron/base/correlation.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/adjust.h"
#include "base/check.h"
#include "base/variance.h"
#include "taskneuron/base/error.h"
#include "taskneuron/base/random.h"
#include "taskneuron/base/statistics.h"

namespace taskneuron {

namespace {

// 97.5% of a normal distribution lies below.
constexpr double kNormalQuantile = 1.959963984540054;
// Correlations this close are equal: sums of the same numbers in another order differ in the last
// digits.
constexpr double kTie = 1e-9;

// Mean 0 and Σ v² = 1, of the values or of their ranks; empty where they are constant.
std::vector<double> standardised(CorrelationKind kind, const std::vector<double>& given) {
  std::vector<double> values = kind == CorrelationKind::kSpearman ? ranks(given) : given;
  double largest = 0;
  for (const double value : values) largest = std::max(largest, std::abs(value));
  if (largest == 0) return {};
  for (double& value : values) value /= largest;  // squares of extremes would overflow
  const double center = mean(values);
  double squares = 0;
  for (double& value : values) {
    value -= center;
    squares += value * value;
  }
  const double size = std::sqrt(squares);
  if (!(size > kRounding)) return {};
  for (double& value : values) value /= size;
  return values;
}

double product(const std::vector<double>& x, const std::vector<double>& y) {
  return std::inner_product(x.begin(), x.end(), y.begin(), 0.0);
}

std::string too_few(std::size_t points) {
  return fmt::format("{} point{}, at least {} are needed", points, points == 1 ? "" : "s",
                     kPointsToCorrelate);
}

std::string constant(const char* side) { return fmt::format("{} is constant", side); }

double orders_of(std::size_t points) { return std::tgamma(static_cast<double>(points) + 1); }

// Counts values that are at least as far from 0 as what was observed.
class Counter {
 public:
  explicit Counter(double observed) : reached_(std::abs(observed) - kTie) {}
  void add(double value) {
    const double size = std::abs(value);
    ++orders;
    count += size >= reached_ ? 1 : 0;
    if (size > largest_ + kTie) {
      largest_ = size;
      at_largest_ = 0;
    }
    at_largest_ += size >= largest_ - kTie ? 1 : 0;
  }
  Randomisation conclusion(bool exact) const {
    Randomisation test;
    test.exact = exact;
    test.orders = orders;
    conclude(test, count);
    if (!exact) return test;
    test.smallest_p = static_cast<double>(at_largest_) / static_cast<double>(orders);
    if (test.smallest_p >= 0.5) test.p.reset();
    return test;
  }

  std::int64_t orders = 0;
  std::int64_t count = 0;

 private:
  double reached_;
  double largest_ = -1;
  std::int64_t at_largest_ = 0;
};

Randomisation permute(const std::vector<double>& x, std::vector<double> y,
                      const PermutationOptions& options) {
  Counter counter(product(x, y));
  const bool exact = orders_of(y.size()) <= static_cast<double>(options.all_orders);
  if (!exact) {
    Random random(options.seed, "order of a correlation");
    while (counter.orders < options.draws) {
      random.shuffle(y);
      counter.add(product(x, y));
    }
    return counter.conclusion(false);
  }
  // Orders of places, so that each of n! counts whatever the ties.
  std::vector<std::size_t> order(y.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  do {
    double sum = 0;
    for (std::size_t i = 0; i < order.size(); ++i) sum += x[i] * y[order[i]];
    counter.add(sum);
  } while (std::next_permutation(order.begin(), order.end()));
  return counter.conclusion(true);
}

// Of a correlation of n points, |r| < 1, n > 3.
Interval interval_of(CorrelationKind kind, double r, std::size_t points) {
  const double variance =
      (kind == CorrelationKind::kSpearman ? 1 + r * r / 2 : 1) / static_cast<double>(points - 3);
  const double half = kNormalQuantile * std::sqrt(variance);
  return {std::tanh(std::atanh(r) - half), std::tanh(std::atanh(r) + half)};
}

// Why there is no interval of r; "" where there is one.
std::string why_no_interval(double r, std::size_t points) {
  if (points < 4) return fmt::format("{} points, at least 4 are needed", points);
  // All in one line: how often that happens by chance, the p says.
  if (!(std::abs(r) < 1 - kTie)) return "a correlation of 1 or −1 says nothing of its spread";
  return "";
}

}  // namespace

const char* correlation_name(CorrelationKind kind) {
  return kind == CorrelationKind::kPearson ? "pearson" : "spearman";
}

CorrelationKind parse_correlation(const std::string& name) {
  if (name == "pearson") return CorrelationKind::kPearson;
  if (name == "spearman") return CorrelationKind::kSpearman;
  throw UsageError("kind", name, "pearson or spearman");
}

std::optional<double> Correlation::p() const { return permutation ? permutation->p : std::nullopt; }

Correlation correlate(CorrelationKind kind, const std::vector<double>& x,
                      const std::vector<double>& y, const PermutationOptions& options) {
  TN_CHECK_EQ(x.size(), y.size());
  Correlation result;
  result.kind = kind;
  result.points = static_cast<std::int64_t>(x.size());
  const std::vector<double> a = standardised(kind, x), b = standardised(kind, y);
  if (result.points < kPointsToCorrelate) {
    result.no_value = too_few(x.size());
  } else if (a.empty() || b.empty()) {
    result.no_value =
        a.empty() && b.empty() ? "both sides are constant" : constant(a.empty() ? "x" : "y");
  }
  result.no_interval = result.no_value;
  if (!result.no_value.empty()) return result;
  const double r = std::clamp(product(a, b), -1.0, 1.0);
  result.value = r;
  result.no_interval = why_no_interval(r, x.size());
  if (result.no_interval.empty()) result.interval = interval_of(kind, r, x.size());
  result.permutation = permute(a, b, options);
  return result;
}

void adjust(const std::vector<Correlation*>& family) { adjust_family(family); }

namespace {

// Zou (2007): each side of the difference recovers its variance from the limits of the two.
Interval difference_interval(double early, const Interval& early_limits, double late,
                             const Interval& late_limits, double between) {
  // Correlation of the two correlations (Steiger 1980; Olkin & Siotani 1976).
  const double squares = early * early + late * late + between * between;
  const double shared =
      ((between - early * late / 2) * (1 - squares) + between * between * between) /
      ((1 - early * early) * (1 - late * late));
  const auto distance = [&](double a, double b) {
    return std::sqrt(std::max(0.0, a * a + b * b - 2 * shared * a * b));
  };
  const double difference = late - early;
  return {difference - distance(late - late_limits.low, early_limits.high - early),
          difference + distance(late_limits.high - late, early - early_limits.low)};
}

std::string why_no_difference(const std::vector<double>& early, const std::vector<double>& late,
                              const std::vector<double>& y, std::size_t points) {
  if (static_cast<std::int64_t>(points) < kPointsToCorrelate) return too_few(points);
  if (y.empty()) return constant("y");
  if (early.empty()) return constant("the early side");
  if (late.empty()) return constant("the late side");
  return "";
}

}  // namespace

CorrelationDifference correlation_difference(CorrelationKind kind, const std::vector<double>& early,
                                             const std::vector<double>& late,
                                             const std::vector<double>& y) {
  TN_CHECK_EQ(early.size(), y.size());
  TN_CHECK_EQ(late.size(), y.size());
  CorrelationDifference result;
  result.kind = kind;
  result.points = static_cast<std::int64_t>(y.size());
  const std::vector<double> a = standardised(kind, early), b = standardised(kind, late),
                            c = standardised(kind, y);
  result.no_value = why_no_difference(a, b, c, y.size());
  result.no_interval = result.no_value;
  if (!result.no_value.empty()) return result;
  const double r_early = product(a, c), r_late = product(b, c);
  result.value = r_late - r_early;
  for (const double r : {r_early, r_late}) {
    if (result.no_interval.empty()) result.no_interval = why_no_interval(r, y.size());
  }
  if (!result.no_interval.empty()) return result;
  result.interval = difference_interval(r_early, interval_of(kind, r_early, y.size()), r_late,
                                        interval_of(kind, r_late, y.size()), product(a, b));
  return result;
}

}  // namespace taskneuron

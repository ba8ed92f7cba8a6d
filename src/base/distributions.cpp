#include "taskneuron/base/distributions.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace taskneuron {

namespace {

// Continued fraction of the incomplete beta function (Abramowitz & Stegun 26.5.8), by Lentz's
// method.
double beta_fraction(double a, double b, double x) {
  constexpr double kTiny = 1e-300, kEnough = 1e-16;
  const auto nonzero = [](double value) { return std::abs(value) < kTiny ? kTiny : value; };
  double c = 1, d = 1 / nonzero(1 - (a + b) * x / (a + 1)), result = d;
  for (int i = 1; i < 100000; ++i) {
    const double m = i;
    const double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
    d = 1 / nonzero(1 + even * d);
    c = nonzero(1 + even / c);
    result *= c * d;
    const double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / nonzero(1 + odd * d);
    c = nonzero(1 + odd / c);
    result *= c * d;
    if (std::abs(c * d - 1) < kEnough) break;
  }
  return result;
}

// Regularised incomplete beta function I_x(a, b); y = 1 − x, given for its digits.
double incomplete_beta(double a, double b, double x, double y) {
  if (x <= 0) return 0;
  if (y <= 0) return 1;
  const double front = std::exp(std::lgamma(a + b) - std::lgamma(a) - std::lgamma(b) +
                                a * std::log(x) + b * std::log(y));
  if (x < (a + 1) / (a + b + 2)) return front * beta_fraction(a, b, x) / a;
  return 1 - front * beta_fraction(b, a, y) / b;
}

double normal_cdf(double z) { return 0.5 * std::erfc(-z / std::sqrt(2.0)); }

}  // namespace

double student_t_two_sided(double t, double df) {
  TN_CHECK_GT(df, 0);
  if (std::isinf(t)) return 0;
  const double square = t * t;
  return incomplete_beta(df / 2, 0.5, df / (df + square), square / (df + square));
}

double student_t_cdf(double t, double df) {
  const double tail = student_t_two_sided(t, df) / 2;
  return t > 0 ? 1 - tail : tail;
}

double student_t_quantile(double p, double df) {
  TN_CHECK_GT(p, 0);
  TN_CHECK_LT(p, 1);
  if (p == 0.5) return 0;
  const double tails = 2 * std::min(p, 1 - p);
  double low = 0, high = 1;
  while (student_t_two_sided(high, df) > tails) high *= 2;
  while (high - low > 1e-15 * high) {
    const double middle = (low + high) / 2;
    if (middle <= low || middle >= high) break;
    (student_t_two_sided(middle, df) > tails ? low : high) = middle;
  }
  return p < 0.5 ? -high : high;
}

double t_test_power(double effect, double df, double alpha) {
  TN_CHECK_GE(df, 1);
  const double critical = student_t_quantile(1 - alpha / 2, df);
  // Over s = estimated / true standard error, whose density is ∝ s^(df−1) exp(−df s²/2); given s,
  // the test rejects where a normal number around `effect` lies beyond ±critical·s. Simpson's rule.
  constexpr int kSteps = 400;
  const double reach = 12 / std::sqrt(2 * df);
  const double low = std::max(0.0, 1 - reach), width = (1 + reach - low) / kSteps;
  const double log_peak = -0.5 * df;  // the density's value at s = 1
  double density_sum = 0, power = 0;
  for (int i = 0; i <= kSteps; ++i) {
    const double s = low + i * width;
    if (s <= 0 && df > 1) continue;
    const double log_density = (s > 0 ? (df - 1) * std::log(s) : 0) - df * s * s / 2;
    const double weight = (i == 0 || i == kSteps ? 1.0 : (i % 2 == 1 ? 4.0 : 2.0));
    const double density = weight * std::exp(log_density - log_peak);
    density_sum += density;
    power += density * (normal_cdf(effect - critical * s) + normal_cdf(-effect - critical * s));
  }
  return power / density_sum;
}

double detectable_effect(double df, double alpha, double power) {
  TN_CHECK_GT(alpha, 0);
  TN_CHECK_LT(alpha, power);
  TN_CHECK_LT(power, 1);
  double low = 0, high = 1;
  while (t_test_power(high, df, alpha) < power) high *= 2;
  while (high - low > 1e-7 * high) {
    const double middle = (low + high) / 2;
    (t_test_power(middle, df, alpha) < power ? low : high) = middle;
  }
  return high;
}

}  // namespace taskneuron

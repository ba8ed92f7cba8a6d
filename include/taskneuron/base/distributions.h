#pragma once

namespace taskneuron {

// Student's t with df > 0 degrees of freedom, which need not be whole.
double student_t_cdf(double t, double df);
// Probability of a value at least as far from 0 as t, on either side; accurate far out.
double student_t_two_sided(double t, double df);
// The value below which a share 0 < p < 1 lies.
double student_t_quantile(double p, double df);

// Probability that a two-sided t test at level alpha sees a true difference of `effect` standard
// errors: that of |T| > critical value for T noncentral t (Cohen 1988, ch. 2). REQUIRES df >= 1.
double t_test_power(double effect, double df, double alpha);
// The difference, in standard errors, that such a test sees with the given power. REQUIRES df >= 1.
double detectable_effect(double df, double alpha, double power);

}  // namespace taskneuron

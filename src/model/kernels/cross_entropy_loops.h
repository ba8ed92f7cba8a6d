#pragma once

// Cross-entropy of one row of logits and its gradient. Internal to loops.cpp, as lanes.h.

#include <cmath>

#include "model/kernels/lanes.h"

namespace taskneuron::kernels {
namespace {

// Logits z [vocabulary]; targets t with their tokens y_t and weights w_t:
//   nll_t = log Σ_v exp(z_v) − z_{y_t}
//   dz_v  = Σ_t w_t · (softmax(z)_v − [v = y_t])      in z's place, where it is asked for
template <typename T>
void cross_entropy(const CrossEntropy<T>& c) {
  using A = Accumulator<T>;
  using V = Lanes<A>;
  V highest = all<V>(widen(c.logits[0]));
  for_lanes<A>(c.vocabulary, [&](auto lanes, std::int64_t i, std::int64_t part) {
    V v = lanes.get(c.logits + i, part);
    for (std::int64_t l = part; l < kLanes<A>; ++l) v[l] = v[0];
    highest = v > highest ? v : highest;
  });
  const A top = max_of<A>(highest);
  V sums{};
  for_lanes<A>(c.vocabulary, [&](auto lanes, std::int64_t i, std::int64_t part) {
    V v = exponential(lanes.get(c.logits + i, part) - top);
    for (std::int64_t l = part; l < kLanes<A>; ++l) v[l] = 0;
    sums += v;
  });
  const A log_sum = top + std::log(sum_of<A>(sums));
  A weight = 0;
  for (std::int64_t t = 0; t < c.targets; ++t) {
    c.nll[t] = log_sum - widen(c.logits[c.tokens[t]]);
    weight += c.weights[t];
  }
  if (!c.differentiate) return;
  for_lanes<A>(c.vocabulary, [&](auto lanes, std::int64_t i, std::int64_t part) {
    lanes.put(c.logits + i, exponential(lanes.get(c.logits + i, part) - log_sum) * weight, part);
  });
  // At a target from its nll, so that the difference is rounded once; weights are added up where a
  // token is a target twice.
  for (std::int64_t t = 0; t < c.targets; ++t) {
    A own = 0;
    for (std::int64_t u = 0; u < c.targets; ++u)
      own += c.tokens[u] == c.tokens[t] ? c.weights[u] : 0;
    store_part(c.logits + c.tokens[t], all<V>(weight * std::exp(-c.nll[t]) - own), 1);
  }
}

}  // namespace
}  // namespace taskneuron::kernels

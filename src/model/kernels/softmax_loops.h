#pragma once

// The softmax of attention's scores, forward and backward, row by row. Internal to loops.cpp, as
// lanes.h.

#include "model/kernels/attention_blocks.h"

namespace taskneuron::kernels {
namespace {

template <typename A>
inline A highest_of(const A* scores, std::int64_t seen) {
  using V = Lanes<A>;
  V highest = all<V>(scores[0]);
  for_lanes<A>(seen, [&](auto, std::int64_t k, std::int64_t part) {
    if (part == kLanes<A>) {
      const V v = load(scores + k);
      highest = v > highest ? v : highest;
    } else {
      for (std::int64_t l = 0; l < part; ++l) {
        highest[0] = scores[k + l] > highest[0] ? scores[k + l] : highest[0];
      }
    }
  });
  return max_of<A>(highest);
}

// Row i of P = softmax(factor · scores) over the keys that it sees, as operands; returns log Σ exp.
template <typename T>
Accumulator<T> softmax_row(Workspace<T>& w, std::int64_t i, const Block<T>& block) {
  using A = Accumulator<T>;
  const A factor = block.factor;
  const std::int64_t seen = block.seen(i), limit = block.limit;
  A* scores = w.scores + i * w.keys;
  const A top = factor * highest_of(scores, seen);
  Lanes<A> sums{};
  for_lanes<A>(seen, [&](auto lanes, std::int64_t k, std::int64_t part) {
    auto v = exponential(factor * lanes.get(scores + k, part) - top);
    for (std::int64_t l = part; l < kLanes<A>; ++l) v[l] = 0;
    store(scores + k, v);
    sums += v;
  });
  const A sum = sum_of<A>(sums), inverse = 1 / sum;
  Stored<T>* p = w.p.values(i);
  for (std::int64_t k = 0; k < round_up<A>(seen); k += kLanes<A>) {
    store(p + k, load(scores + k) * inverse);
  }
  std::fill(p + round_up<A>(seen), p + round_up<A>(limit), Stored<T>{});
  return top + std::log(sum);
}

// Rows i of P and of scale · dS, dS = P · (dP − Σ P · dP), as operands. P is formed again from the
// scores (times factor) and their saved log-sum: cheaper than keeping [heads, queries, keys] until
// the backward pass. Where scores s are capped, dS is times 1 − (s / softcap)².
template <bool capped, typename T>
void softmax_backward_row(Workspace<T>& w, std::int64_t i, const Block<T>& block,
                          Accumulator<T> log_sum, const Attention<T>& a) {
  using A = Accumulator<T>;
  const A factor = block.factor, scale = static_cast<A>(a.scale);
  const std::int64_t seen = block.seen(i), limit = block.limit;
  A* scores = w.scores + i * w.keys;
  const A* gradient = w.dscores + i * w.keys;
  const auto probability = [&](auto lanes, std::int64_t k, std::int64_t part) {
    auto v = exponential(factor * lanes.get(scores + k, part) - log_sum);
    for (std::int64_t l = part; l < kLanes<A>; ++l) v[l] = 0;
    return v;
  };
  Lanes<A> sums{};
  for_lanes<A>(seen, [&](auto lanes, std::int64_t k, std::int64_t part) {
    const auto v = probability(lanes, k, part);
    if constexpr (!capped) store(scores + k, v);
    sums += v * load(gradient + k);
  });
  const A mean = sum_of<A>(sums);
  Stored<T>*p = w.p.values(i), *ds = w.ds.values(i);
  const std::int64_t whole = round_up<A>(seen);
  if constexpr (capped) {
    const A inverse = factor / static_cast<A>(a.softcap);
    for_lanes<A>(seen, [&](auto lanes, std::int64_t k, std::int64_t part) {
      const auto v = probability(lanes, k, part);
      auto share = inverse * lanes.get(scores + k, part);
      share = share < A(-1) ? all<Lanes<A>>(A(-1)) : share;  // hidden keys are at −∞
      store(ds + k, v * (load(gradient + k) - mean) * scale * (A(1) - share * share));
      store(p + k, v);
    });
  } else {
    for (std::int64_t k = 0; k < whole; k += kLanes<A>) {
      const auto v = load(scores + k);
      store(ds + k, v * (load(gradient + k) - mean) * scale);
      store(p + k, v);
    }
  }
  std::fill(p + whole, p + round_up<A>(limit), Stored<T>{});
  std::fill(ds + whole, ds + round_up<A>(limit), Stored<T>{});
}

}  // namespace
}  // namespace taskneuron::kernels

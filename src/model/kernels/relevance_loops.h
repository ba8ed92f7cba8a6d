#pragma once

// Sums of relevance by column. Internal to loops.cpp, as lanes.h.

#include "model/kernels/lanes.h"

namespace taskneuron::kernels {
namespace {

template <typename V>
inline V magnitude_of(V v) {
  return v < 0 ? -v : v;
}

// The sums are float32 whatever the model computes in. lanes, count: as for_lanes gives them.
template <typename SomeOrWhole>
inline void add_to(SomeOrWhole lanes, float* target, FloatLanes v, std::int64_t count) {
  lanes.put(target, lanes.get(target, count) + v, count);
}
template <typename SomeOrWhole>
inline void add_to(SomeOrWhole, float* target, DoubleLanes v, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) target[i] += static_cast<float>(v[i]);
}

// Columns j of activation a and gradient g [rows, width], over rows [begin, end):
//   sum_j += Σ_r a_rj · g_rj      magnitude_j += Σ_r |a_rj · g_rj|
// Accumulators in the order of the rows; a is 1 where it is not given.
template <typename T>
void column_sums(const ColumnSums<T>& c, std::int64_t begin, std::int64_t end) {
  using A = Accumulator<T>;
  using V = Lanes<A>;
  // A strip of columns at a time keeps its sums in registers.
  for_lanes<A>(c.width, [&](auto lanes, std::int64_t i, std::int64_t part) {
    V sum{}, magnitude{};
    for (std::int64_t row = begin; row < end; ++row) {
      const std::int64_t at = row * c.width + i;
      V value = lanes.get(c.gradient + at, part);
      if (c.activation != nullptr) value *= lanes.get(c.activation + at, part);
      sum += value;
      magnitude += magnitude_of(value);
    }
    add_to(lanes, c.sum + i, sum, part);
    add_to(lanes, c.magnitude + i, magnitude, part);
  });
}

}  // namespace
}  // namespace taskneuron::kernels

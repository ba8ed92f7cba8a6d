#pragma once

// Layer and root-mean-square normalization, forward and backward. Internal to loops.cpp, as
// lanes.h.

#include <cmath>

#include "model/kernels/lanes.h"

namespace taskneuron::kernels {
namespace {

template <typename T>
Accumulator<T> mean_of(const T* row, std::int64_t width) {
  using A = Accumulator<T>;
  Lanes<A> sums{};
  for_lanes<A>(width, [&](auto lanes, std::int64_t i, std::int64_t part) {
    sums += lanes.get(row + i, part);
  });
  return sum_of<A>(sums) / static_cast<A>(width);
}

// The variance from the deviations: cancellation-free, and the row is in the cache.
template <typename T>
Accumulator<T> variance_about(Accumulator<T> mean, const T* row, std::int64_t width) {
  using A = Accumulator<T>;
  Lanes<A> squares{};
  for_lanes<A>(width, [&](auto lanes, std::int64_t i, std::int64_t part) {
    Lanes<A> deviation = lanes.get(row + i, part) - mean;
    if (part < kLanes<A>) {
      for (std::int64_t l = part; l < kLanes<A>; ++l) deviation[l] = 0;
    }
    squares += deviation * deviation;
  });
  return sum_of<A>(squares) / static_cast<A>(width);
}

// Rows x, y [width]; weight w and bias b [width]; ε as given:
//   s = x + addend
//   μ = Σ s / width                      (0 for rms)
//   r = 1 / √(Σ (s − μ)² / width + ε)
//   y = (s − μ) · r · w + b              (rms: (s · r) rounded to T, then · w)
// Sums are accumulators, whole vectors first. Writes s (where asked), y, μ and r.
template <typename T>
void norm(const Norm<T>& n, std::int64_t begin, std::int64_t end) {
  using A = Accumulator<T>;
  using V = Lanes<A>;
  for (std::int64_t row = begin; row < end; ++row) {
    const T* x = n.x + row * n.width;
    const T* source = x;
    if (n.addend != nullptr) {
      const T* addend = n.addend + row * n.width;
      T* sum = n.sum + row * n.width;
      for_lanes<A>(n.width, [&](auto lanes, std::int64_t i, std::int64_t part) {
        lanes.put(sum + i, lanes.get(x + i, part) + lanes.get(addend + i, part), part);
      });
      source = sum;
    }
    A mean = 0;
    if (!n.rms) n.mean[row] = mean = mean_of(source, n.width);
    const A inverse =
        1 / std::sqrt(variance_about<T>(mean, source, n.width) + static_cast<A>(n.epsilon));
    n.inverse[row] = inverse;
    T* out = n.normalized + row * n.width;
    for_lanes<A>(n.width, [&](auto lanes, std::int64_t i, std::int64_t part) {
      V value = (lanes.get(source + i, part) - mean) * inverse;
      if (n.rms) value = rounded<T>(value);
      value *= lanes.get(n.weight + i, part);
      if (n.bias != nullptr) value += lanes.get(n.bias + i, part);
      lanes.put(out + i, value, part);
    });
  }
}

// With n = (s − μ) · r and g = dy · w, all [width]:
//   ds = r · (g − Σ g / width − n · Σ (g · n) / width) + the gradient that reaches s directly
// (rms: without the first sum). The gradients of w and b are their caller's business.
template <typename T>
void norm_backward(const NormBackward<T>& n, std::int64_t begin, std::int64_t end) {
  using A = Accumulator<T>;
  using V = Lanes<A>;
  const A count = static_cast<A>(n.width);
  for (std::int64_t row = begin; row < end; ++row) {
    const T* x = n.sum + row * n.width;
    const T* dy = n.dnormalized + row * n.width;
    const A mean = n.mean != nullptr ? n.mean[row] : 0;
    const A inverse = n.inverse[row];
    V plain{}, projected{};
    for_lanes<A>(n.width, [&](auto lanes, std::int64_t i, std::int64_t part) {
      const V scaled = lanes.get(dy + i, part) * lanes.get(n.weight + i, part);
      plain += scaled;
      projected += scaled * (lanes.get(x + i, part) - mean);
    });
    const A shift = n.mean != nullptr ? sum_of<A>(plain) / count : 0;
    const A projection = sum_of<A>(projected) * inverse / count;
    T* dx = n.dx + row * n.width;
    const T* direct = n.dsum != nullptr ? n.dsum + row * n.width : nullptr;
    for_lanes<A>(n.width, [&](auto lanes, std::int64_t i, std::int64_t part) {
      const V scaled = lanes.get(dy + i, part) * lanes.get(n.weight + i, part);
      const V unit = (lanes.get(x + i, part) - mean) * inverse;
      V value = (scaled - shift - unit * projection) * inverse;
      if (direct != nullptr) value += lanes.get(direct + i, part);
      lanes.put(dx + i, value, part);
    });
  }
}

}  // namespace
}  // namespace taskneuron::kernels

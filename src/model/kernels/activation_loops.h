#pragma once

// The FFN's activation, forward and backward, with the sums of its relevance. Internal to
// loops.cpp, as lanes.h.

#include "model/kernels/relevance_loops.h"

namespace taskneuron::kernels {
namespace {

template <typename V, typename A>
inline V sigmoid(V x) {
  return A(1) / (A(1) + exponential(-x));
}

// f(x), and f'(x) as a second result.
template <Function function, typename V, typename A>
inline V apply(V x, V* derivative) {
  if constexpr (function == Function::kRelu) {
    const V one = all<V>(A(1));
    if (derivative != nullptr) *derivative = x > 0 ? one : V{};
    return x > 0 ? x : (x == x ? V{} : x);
  } else if constexpr (function == Function::kSilu) {
    const V s = sigmoid<V, A>(x);
    if (derivative != nullptr) *derivative = s * (A(1) + x * (A(1) - s));
    return x * s;
  } else if constexpr (function == Function::kGeluTanh) {
    // (1 + tanh u) / 2 = sigmoid(2u)
    constexpr A kRoot = A(0.79788456080286535588), kCubic = A(0.044715);
    const V square = x * x;
    const V s = sigmoid<V, A>(A(2) * kRoot * x * (A(1) + kCubic * square));
    if (derivative != nullptr) {
      const V inner = A(2) * kRoot * (A(1) + A(3) * kCubic * square);
      *derivative = s + x * s * (A(1) - s) * inner;
    }
    return x * s;
  } else {
    constexpr A kInverseRoot2 = A(0.70710678118654752440), kDensity = A(0.39894228040143267794);
    const V share = A(0.5) * (A(1) + error_function(x * kInverseRoot2));
    if (derivative != nullptr) *derivative = share + x * kDensity * exponential(A(-0.5) * x * x);
    return x * share;
  }
}

// Rows of up u, gate g and value ω [width], scale m [width] (1 where it is not given):
//   ω = f(g) · u · m        without a gate: ω = f(u) · m
template <Function function, typename T>
void activation_of(const Activation<T>& a, std::int64_t begin, std::int64_t end) {
  using A = Accumulator<T>;
  using V = Lanes<A>;
  for (std::int64_t row = begin; row < end; ++row) {
    const std::int64_t at = row * a.width;
    for_lanes<A>(a.width, [&](auto lanes, std::int64_t i, std::int64_t part) {
      const V up = lanes.get(a.up + at + i, part);
      V value = a.gate == nullptr
                    ? apply<function, V, A>(up, nullptr)
                    : apply<function, V, A>(lanes.get(a.gate + at + i, part), nullptr) * up;
      if (a.scale != nullptr) value *= lanes.get(a.scale + i, part);
      lanes.put(a.value + at + i, value, part);
    });
  }
}

// With dω given:
//   du = dω · m · f(g)      dg = dω · m · u · f′(g)        without a gate: du = dω · m · f′(u)
//   sum += ω · dω           magnitude += |ω · dω|          (ω rounded to T; where asked for)
template <Function function, typename T>
void activation_backward_of(const Activation<T>& a, std::int64_t begin, std::int64_t end) {
  using A = Accumulator<T>;
  using V = Lanes<A>;
  for (std::int64_t row = begin; row < end; ++row) {
    const std::int64_t at = row * a.width;
    for_lanes<A>(a.width, [&](auto lanes, std::int64_t i, std::int64_t part) {
      const V up = lanes.get(a.up + at + i, part);
      const V gradient = lanes.get(a.gradient + at + i, part);
      const V scale = a.scale != nullptr ? lanes.get(a.scale + i, part) : all<V>(A(1));
      V derivative, value;
      if (a.gate == nullptr) {
        value = apply<function, V, A>(up, &derivative) * scale;
        lanes.put(a.dup + at + i, gradient * scale * derivative, part);
      } else {
        const V f = apply<function, V, A>(lanes.get(a.gate + at + i, part), &derivative);
        value = f * up * scale;
        lanes.put(a.dup + at + i, gradient * scale * f, part);
        lanes.put(a.dgate + at + i, gradient * scale * up * derivative, part);
      }
      if (a.value != nullptr) lanes.put(a.value + at + i, value, part);
      if (a.sum != nullptr) {
        const V product = rounded<T>(value) * gradient;
        add_to(lanes, a.sum + i, product, part);
        add_to(lanes, a.magnitude + i, magnitude_of(product), part);
      }
    });
  }
}

template <typename T>
void activation(const Activation<T>& a, std::int64_t begin, std::int64_t end) {
  switch (a.function) {
    case Function::kGelu: return activation_of<Function::kGelu>(a, begin, end);
    case Function::kGeluTanh: return activation_of<Function::kGeluTanh>(a, begin, end);
    case Function::kRelu: return activation_of<Function::kRelu>(a, begin, end);
    case Function::kSilu: return activation_of<Function::kSilu>(a, begin, end);
  }
}

template <typename T>
void activation_backward(const Activation<T>& a, std::int64_t begin, std::int64_t end) {
  switch (a.function) {
    case Function::kGelu: return activation_backward_of<Function::kGelu>(a, begin, end);
    case Function::kGeluTanh: return activation_backward_of<Function::kGeluTanh>(a, begin, end);
    case Function::kRelu: return activation_backward_of<Function::kRelu>(a, begin, end);
    case Function::kSilu: return activation_backward_of<Function::kSilu>(a, begin, end);
  }
}

}  // namespace
}  // namespace taskneuron::kernels

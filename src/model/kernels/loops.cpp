// The loops behind table.h, compiled once per instruction set: TASKNEURON_INSTRUCTIONS names it and
// TASKNEURON_TILE_ROWS, TASKNEURON_TILE_LANES size the register tile of the small products.
// Includes no LibTorch header: an inline function of theirs compiled here could end up in programs
// that run on processors without these instructions.
#include <algorithm>
#include <type_traits>

#include "model/kernels/attention_loops.h"
#include "model/kernels/lanes.h"
#include "model/kernels/table.h"

namespace taskneuron::kernels {
namespace {

// ---- norms ----

template <typename T>
void norm(const Norm<T>& n, std::int64_t begin, std::int64_t end) {
  using A = Accumulator<T>;
  using V = Lanes<A>;
  const A count = static_cast<A>(n.width);
  for (std::int64_t row = begin; row < end; ++row) {
    const T* x = n.x + row * n.width;
    const T* source = x;
    V sums{}, squares{};
    if (n.addend != nullptr) {
      const T* addend = n.addend + row * n.width;
      T* sum = n.sum + row * n.width;
      for_lanes<A>(n.width, [&](auto lanes, std::int64_t i, std::int64_t part) {
        lanes.put(sum + i, lanes.get(x + i, part) + lanes.get(addend + i, part), part);
      });
      source = sum;
    }
    A mean = 0;
    if (!n.rms) {
      for_lanes<A>(n.width, [&](auto lanes, std::int64_t i, std::int64_t part) {
        sums += lanes.get(source + i, part);
      });
      mean = sum_of<A>(sums) / count;
      n.mean[row] = mean;
    }
    // The variance from the deviations: cancellation-free, and the row is in the cache.
    for_lanes<A>(n.width, [&](auto lanes, std::int64_t i, std::int64_t part) {
      V deviation = lanes.get(source + i, part) - mean;
      if (part < kLanes<A>) {
        for (std::int64_t l = part; l < kLanes<A>; ++l) deviation[l] = 0;
      }
      squares += deviation * deviation;
    });
    const A inverse = 1 / std::sqrt(sum_of<A>(squares) / count + static_cast<A>(n.epsilon));
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

// ---- activations ----

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

// ---- relevance ----

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

// ---- cross-entropy ----

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
  // d(w·nll)/dlogit = w·(chance − 1) at the target, added up where a token is a target twice.
  for (std::int64_t t = 0; t < c.targets; ++t) {
    A own = 0;
    for (std::int64_t u = 0; u < c.targets; ++u)
      own += c.tokens[u] == c.tokens[t] ? c.weights[u] : 0;
    store_part(c.logits + c.tokens[t], all<V>(weight * std::exp(-c.nll[t]) - own), 1);
  }
}

template <typename T>
constexpr Table<T> kTable = {
    norm<T>,      norm_backward<T>,      activation<T>,    activation_backward<T>, column_sums<T>,
    attention<T>, attention_backward<T>, key_gradients<T>, cross_entropy<T>};

}  // namespace

#define TASKNEURON_JOIN(a, b) a##b
#define TASKNEURON_NAME(a, b) TASKNEURON_JOIN(a, b)
extern const Table<float>* const TASKNEURON_NAME(float_table_, TASKNEURON_INSTRUCTIONS);
extern const Table<double>* const TASKNEURON_NAME(double_table_, TASKNEURON_INSTRUCTIONS);
extern const Table<Bfloat16>* const TASKNEURON_NAME(bfloat16_table_, TASKNEURON_INSTRUCTIONS);
const Table<float>* const TASKNEURON_NAME(float_table_, TASKNEURON_INSTRUCTIONS) = &kTable<float>;
const Table<double>* const TASKNEURON_NAME(double_table_,
                                           TASKNEURON_INSTRUCTIONS) = &kTable<double>;
const Table<Bfloat16>* const TASKNEURON_NAME(bfloat16_table_,
                                             TASKNEURON_INSTRUCTIONS) = &kTable<Bfloat16>;

}  // namespace taskneuron::kernels

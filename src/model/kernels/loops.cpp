// The loops behind table.h, compiled once per instruction set: TASKNEURON_INSTRUCTIONS names it and
// TASKNEURON_TILE_ROWS, TASKNEURON_TILE_LANES size the register tile of the small products.
// Includes no LibTorch header: an inline function of theirs compiled here could end up in programs
// that run on processors without these instructions.
#include <algorithm>
#include <type_traits>

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

template <Function function, typename T>
void activation_backward_of(const Activation<T>& a, std::int64_t begin, std::int64_t end) {
  using A = Accumulator<T>;
  using V = Lanes<A>;
  for (std::int64_t row = begin; row < end; ++row) {
    const std::int64_t at = row * a.width;
    for_lanes<A>(a.width, [&](auto lanes, std::int64_t i, std::int64_t part) {
      const V up = lanes.get(a.up + at + i, part);
      V gradient = lanes.get(a.gradient + at + i, part);
      const V scale = a.scale != nullptr ? lanes.get(a.scale + i, part) : all<V>(A(1));
      gradient *= scale;
      V derivative;
      if (a.gate == nullptr) {
        const V f = apply<function, V, A>(up, &derivative);
        if (a.value != nullptr) lanes.put(a.value + at + i, f * scale, part);
        lanes.put(a.dup + at + i, gradient * derivative, part);
      } else {
        const V f = apply<function, V, A>(lanes.get(a.gate + at + i, part), &derivative);
        if (a.value != nullptr) lanes.put(a.value + at + i, f * up * scale, part);
        lanes.put(a.dup + at + i, gradient * f, part);
        lanes.put(a.dgate + at + i, gradient * up * derivative, part);
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

template <typename V>
inline V magnitude_of(V v) {
  return v < 0 ? -v : v;
}

// The sums are float32 whatever the model computes in.
inline void add_to(float* target, FloatLanes v, std::int64_t count) {
  for_lanes<float>(count, [&](auto lanes, std::int64_t, std::int64_t part) {
    lanes.put(target, lanes.get(target, part) + v, part);
  });
}
inline void add_to(float* target, DoubleLanes v, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) target[i] += static_cast<float>(v[i]);
}

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
    add_to(c.sum + i, sum, part);
    add_to(c.magnitude + i, magnitude, part);
  });
}

// ---- small matrix products ----

// c[rows, lanes] (+)= a b over `depth`; a(r, k) = a[r·a_row + k·a_column]; b, c row-major.
template <typename A, int rows, int lanes>
inline void tile(const A* a, std::int64_t a_row, std::int64_t a_column, const A* b,
                 std::int64_t b_row, A* c, std::int64_t c_row, std::int64_t depth, bool add) {
  using V = Lanes<A>;
  V sums[rows][lanes];
  for (int r = 0; r < rows; ++r) {
    for (int l = 0; l < lanes; ++l) {
      sums[r][l] = add ? load(c + r * c_row + l * kLanes<A>) : V{};
    }
  }
  for (std::int64_t k = 0; k < depth; ++k) {
    V right[lanes];
    for (int l = 0; l < lanes; ++l) right[l] = load(b + k * b_row + l * kLanes<A>);
    for (int r = 0; r < rows; ++r) {
      const A left = a[r * a_row + k * a_column];
      for (int l = 0; l < lanes; ++l) sums[r][l] += left * right[l];
    }
  }
  for (int r = 0; r < rows; ++r) {
    for (int l = 0; l < lanes; ++l) store(c + r * c_row + l * kLanes<A>, sums[r][l]);
  }
}

template <typename A, int rows>
inline void strip(const A* a, std::int64_t a_row, std::int64_t a_column, const A* b,
                  std::int64_t b_row, A* c, std::int64_t c_row, std::int64_t columns,
                  std::int64_t depth, bool add) {
  constexpr int kTile = TASKNEURON_TILE_LANES;
  std::int64_t j = 0;
  for (; j + kTile * kLanes<A> <= columns; j += kTile * kLanes<A>) {
    tile<A, rows, kTile>(a, a_row, a_column, b + j, b_row, c + j, c_row, depth, add);
  }
  if constexpr (kTile > 2) {
    for (; j + 2 * kLanes<A> <= columns; j += 2 * kLanes<A>) {
      tile<A, rows, 2>(a, a_row, a_column, b + j, b_row, c + j, c_row, depth, add);
    }
  }
  for (; j < columns; j += kLanes<A>) {
    tile<A, rows, 1>(a, a_row, a_column, b + j, b_row, c + j, c_row, depth, add);
  }
}

template <typename A, int rows>
inline void last_rows(std::int64_t left, const A* a, std::int64_t a_row, std::int64_t a_column,
                      const A* b, std::int64_t b_row, A* c, std::int64_t c_row,
                      std::int64_t columns, std::int64_t depth, bool add) {
  if constexpr (rows > 0) {
    if (left == rows) {
      strip<A, rows>(a, a_row, a_column, b, b_row, c, c_row, columns, depth, add);
    } else {
      last_rows<A, rows - 1>(left, a, a_row, a_column, b, b_row, c, c_row, columns, depth, add);
    }
  }
}

// columns: a multiple of the lanes; b and c are padded to it.
template <typename A>
void product(std::int64_t rows, std::int64_t columns, std::int64_t depth, const A* a,
             std::int64_t a_row, std::int64_t a_column, const A* b, std::int64_t b_row, A* c,
             std::int64_t c_row, bool add) {
  constexpr int kTile = TASKNEURON_TILE_ROWS;
  std::int64_t r = 0;
  for (; r + kTile <= rows; r += kTile) {
    strip<A, kTile>(a + r * a_row, a_row, a_column, b, b_row, c + r * c_row, c_row, columns, depth,
                    add);
  }
  last_rows<A, kTile - 1>(rows - r, a + r * a_row, a_row, a_column, b, b_row, c + r * c_row, c_row,
                          columns, depth, add);
}

// ---- attention ----

// Whole lanes; rows of the workspace are padded() apart, which is a multiple of that.
template <typename A>
constexpr std::int64_t round_up(std::int64_t count) {
  return (count + kLanes<A> - 1) / kLanes<A> * kLanes<A>;
}

template <typename T>
inline Accumulator<T> widen(T value) {
  return value;
}
template <>
inline float widen<Bfloat16>(Bfloat16 value) {
  const std::uint32_t word = static_cast<std::uint32_t>(value.bits) << 16;
  float result;
  std::memcpy(&result, &word, sizeof(result));
  return result;
}

// One head of one row as A, times factor, rotated where there are angles. Lanes behind it within
// its last vector are zeros; padded() may go further.
template <typename T>
inline void read_head(const T* source, std::int64_t width, std::int64_t pairs, const T* cosine,
                      const T* sine, Accumulator<T> factor, Accumulator<T>* target) {
  using A = Accumulator<T>;
  for_lanes<A>(width, [&](auto lanes, std::int64_t i, std::int64_t part) {
    store(target + i, lanes.get(source + i, part) * factor);
  });
  if (cosine == nullptr) return;
  for_lanes<A>(pairs, [&](auto lanes, std::int64_t i, std::int64_t part) {
    const auto c = lanes.get(cosine + i, part), s = lanes.get(sine + i, part);
    const auto first = lanes.get(target + i, part), second = lanes.get(target + pairs + i, part);
    lanes.put(target + i, first * c - second * s, part);
    lanes.put(target + pairs + i, second * c + first * s, part);
  });
}

// The inverse rotation in place, then stored as T.
template <typename T>
inline void write_head(Accumulator<T>* source, std::int64_t width, std::int64_t pairs,
                       const T* cosine, const T* sine, T* target) {
  using A = Accumulator<T>;
  if (cosine != nullptr) {
    for_lanes<A>(pairs, [&](auto lanes, std::int64_t i, std::int64_t part) {
      const auto c = lanes.get(cosine + i, part), s = lanes.get(sine + i, part);
      const auto first = lanes.get(source + i, part), second = lanes.get(source + pairs + i, part);
      lanes.put(source + i, first * c + second * s, part);
      lanes.put(source + pairs + i, second * c - first * s, part);
    });
  }
  for_lanes<A>(width, [&](auto lanes, std::int64_t i, std::int64_t part) {
    lanes.put(target + i, lanes.get(source + i, part), part);
  });
}

#if TASKNEURON_TILE_LANES >= 4
// A square of 16 rows in registers: swaps the off-diagonal quarters of ever smaller squares.
template <int half>
inline void swap_quarters(FloatLanes* rows) {
  IntLanes upper, lower;
  for (int i = 0; i < 16; ++i) {
    upper[i] = (i & half) != 0 ? 16 + i - half : i;
    lower[i] = (i & half) != 0 ? 16 + i : i + half;
  }
  for (int r = 0; r < 16; ++r) {
    if ((r & half) != 0) continue;
    const FloatLanes top = rows[r], bottom = rows[r + half];
    rows[r] = __builtin_shuffle(top, bottom, upper);
    rows[r + half] = __builtin_shuffle(top, bottom, lower);
  }
}
inline void transpose_square(const float* source, std::int64_t source_row, float* target,
                             std::int64_t target_row) {
  FloatLanes rows[16];
  for (int r = 0; r < 16; ++r) rows[r] = load(source + r * source_row);
  swap_quarters<8>(rows);
  swap_quarters<4>(rows);
  swap_quarters<2>(rows);
  swap_quarters<1>(rows);
  for (int r = 0; r < 16; ++r) store(target + r * target_row, rows[r]);
}
constexpr bool kSquares = true;
#else
inline void transpose_square(const float*, std::int64_t, float*, std::int64_t) {}
constexpr bool kSquares = false;
#endif

// rows, width: padded; both matrices have space up to there.
template <typename A>
void transpose(const A* source, std::int64_t rows, std::int64_t width, std::int64_t source_row,
               A* target, std::int64_t target_row) {
  constexpr std::int64_t kBlock = 16;
  for (std::int64_t r = 0; r < rows; r += kBlock) {
    for (std::int64_t i = 0; i < width; i += kBlock) {
      const A* from = source + r * source_row + i;
      A* to = target + i * target_row + r;
      if constexpr (kSquares && std::is_same_v<A, float>) {
        transpose_square(from, source_row, to, target_row);
      } else {
        for (std::int64_t c = 0; c < kBlock; ++c) {
          for (std::int64_t k = 0; k < kBlock; ++k)
            to[c * target_row + k] = from[k * source_row + c];
        }
      }
    }
  }
}

// Scratch space of one call, cut up: matrices that both directions need first.
template <typename A>
struct Workspace {
  std::int64_t keys, width;  // padded
  A *k, *v;                  // [keys, width]
  A *kt, *vt;                // [width, keys]
  A *q, *o, *dq;             // [block, width]
  A *scores, *dscores;       // [block, keys]
  Workspace(A* scratch, std::int64_t key_count, std::int64_t head_dim)
      : keys(padded(key_count)), width(padded(head_dim)) {
    k = scratch;
    v = k + keys * width;
    kt = v + keys * width;
    vt = kt + keys * width;
    q = vt + keys * width;
    o = q + kQueryBlock * width;
    dq = o + kQueryBlock * width;
    scores = dq + kQueryBlock * width;
    dscores = scores + kQueryBlock * keys;
  }
};

template <typename T>
std::int64_t count_keys(const Attention<T>& a) {
  std::int64_t keys = 0;
  for (std::int64_t r = 0; r < a.run_count; ++r) keys += a.runs[r].rows;
  return keys;
}

template <typename T>
void read_keys(const Attention<T>& a, std::int64_t keys, Workspace<Accumulator<T>>& w,
               bool transpose_values) {
  using A = Accumulator<T>;
  std::int64_t row = 0;
  for (std::int64_t run = 0; run < a.run_count; ++run) {
    const KeyRun<T>& from = a.runs[run];
    for (std::int64_t i = 0; i < from.rows; ++i, ++row) {
      const bool turn = from.cosine != nullptr;
      read_head(from.keys + i * from.key_row + a.key_head * from.key_head, a.head_dim, a.pairs,
                turn ? from.cosine + i * a.pairs : nullptr,
                turn ? from.sine + i * a.pairs : nullptr, A(1), w.k + row * w.width);
      read_head<T>(from.values + i * from.value_row + a.key_head * from.value_head, a.head_dim, 0,
                   nullptr, nullptr, A(1), w.v + row * w.width);
    }
  }
  // Rows past the last key, so that what is padded stays finite.
  std::fill(w.k + keys * w.width, w.k + w.keys * w.width, A(0));
  std::fill(w.v + keys * w.width, w.v + w.keys * w.width, A(0));
  transpose(w.k, w.keys, w.width, w.width, w.kt, w.keys);
  if (transpose_values) transpose(w.v, w.keys, w.width, w.width, w.vt, w.keys);
}

// Queries [first, first + rows) of a head and their scores, biased; keys that a query may not see
// are left to the caller.
template <typename T>
void read_scores(const Attention<T>& a, std::int64_t head, std::int64_t first, std::int64_t rows,
                 std::int64_t limit, Workspace<Accumulator<T>>& w) {
  using A = Accumulator<T>;
  for (std::int64_t i = 0; i < rows; ++i) {
    const std::int64_t query = first + i;
    const bool turn = a.cosine != nullptr;
    read_head(a.q + query * a.q_row + head * a.q_head, a.head_dim, a.pairs,
              turn ? a.cosine + query * a.pairs : nullptr,
              turn ? a.sine + query * a.pairs : nullptr, static_cast<A>(a.scale),
              w.q + i * w.width);
  }
  product<A>(rows, round_up<A>(limit), a.head_dim, w.q, w.width, 1, w.kt, w.keys, w.scores, w.keys,
             false);
  if (a.bias == nullptr) return;
  for (std::int64_t i = 0; i < rows; ++i) {
    const float* bias = a.bias + (first + i) * a.bias_row + head * a.bias_head;
    A* scores = w.scores + i * w.keys;
    for (std::int64_t k = 0; k < std::min(limit, a.visible + first + i); ++k) {
      scores[k] += static_cast<A>(bias[k]);
    }
  }
}

template <typename T>
void attention(const Attention<T>& a) {
  using A = Accumulator<T>;
  using V = Lanes<A>;
  const std::int64_t keys = count_keys(a);
  Workspace<A> w(a.scratch, keys, a.head_dim);
  read_keys(a, keys, w, false);
  for (std::int64_t head = a.key_head * a.group; head < (a.key_head + 1) * a.group; ++head) {
    for (std::int64_t first = 0; first < a.queries; first += kQueryBlock) {
      const std::int64_t rows = std::min(kQueryBlock, a.queries - first);
      const std::int64_t limit = std::min(keys, a.visible + first + rows - 1);
      read_scores(a, head, first, rows, limit, w);
      for (std::int64_t i = 0; i < rows; ++i) {
        A* scores = w.scores + i * w.keys;
        const std::int64_t seen = std::min(keys, a.visible + first + i);
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
        const A top = max_of<A>(highest);
        V sums{};
        for_lanes<A>(seen, [&](auto lanes, std::int64_t k, std::int64_t part) {
          V v = exponential(lanes.get(scores + k, part) - top);
          for (std::int64_t l = part; l < kLanes<A>; ++l) v[l] = 0;
          store(scores + k, v);
          sums += v;
        });
        std::fill(scores + round_up<A>(seen), scores + round_up<A>(limit), A(0));
        const A sum = sum_of<A>(sums);
        const A inverse = 1 / sum;
        for_lanes<A>(round_up<A>(seen), [&](auto, std::int64_t k, std::int64_t) {
          store(scores + k, load(scores + k) * inverse);
        });
        if (a.log_sum != nullptr) {
          a.log_sum[head * a.log_sum_head + first + i] = top + std::log(sum);
        }
      }
      product<A>(rows, w.width, limit, w.scores, w.keys, 1, w.v, w.width, w.o, w.width, false);
      for (std::int64_t i = 0; i < rows; ++i) {
        write_head<T>(w.o + i * w.width, a.head_dim, 0, nullptr, nullptr,
                      a.output + (first + i) * a.output_row + head * a.output_head);
      }
    }
  }
}

// Probabilities are formed again from the scores and their saved log-sums: cheaper than keeping
// [heads, queries, keys] until the backward pass.
template <typename T>
void attention_backward(const Attention<T>& a) {
  using A = Accumulator<T>;
  using V = Lanes<A>;
  const std::int64_t keys = count_keys(a);
  Workspace<A> w(a.scratch, keys, a.head_dim);
  read_keys(a, keys, w, true);
  for (std::int64_t head = a.key_head * a.group; head < (a.key_head + 1) * a.group; ++head) {
    for (std::int64_t first = 0; first < a.queries; first += kQueryBlock) {
      const std::int64_t rows = std::min(kQueryBlock, a.queries - first);
      const std::int64_t limit = std::min(keys, a.visible + first + rows - 1);
      read_scores(a, head, first, rows, limit, w);
      for (std::int64_t i = 0; i < rows; ++i) {
        read_head<T>(a.doutput + (first + i) * a.output_row + head * a.output_head, a.head_dim, 0,
                     nullptr, nullptr, A(1), w.o + i * w.width);
      }
      product<A>(rows, round_up<A>(limit), a.head_dim, w.o, w.width, 1, w.vt, w.keys, w.dscores,
                 w.keys, false);
      for (std::int64_t i = 0; i < rows; ++i) {
        A* chances = w.scores + i * w.keys;
        A* gradient = w.dscores + i * w.keys;
        const std::int64_t seen = std::min(keys, a.visible + first + i);
        const A log_sum = a.log_sum[head * a.log_sum_head + first + i];
        V sums{};
        for_lanes<A>(seen, [&](auto lanes, std::int64_t k, std::int64_t part) {
          V v = exponential(lanes.get(chances + k, part) - log_sum);
          for (std::int64_t l = part; l < kLanes<A>; ++l) v[l] = 0;
          store(chances + k, v);
          sums += v * load(gradient + k);
        });
        std::fill(chances + round_up<A>(seen), chances + round_up<A>(limit), A(0));
        std::fill(gradient + round_up<A>(seen), gradient + round_up<A>(limit), A(0));
        const A mean = sum_of<A>(sums);
        for_lanes<A>(round_up<A>(seen), [&](auto, std::int64_t k, std::int64_t) {
          store(gradient + k, load(chances + k) * (load(gradient + k) - mean));
        });
      }
      product<A>(rows, w.width, limit, w.dscores, w.keys, 1, w.k, w.width, w.dq, w.width, false);
      for (std::int64_t i = 0; i < rows; ++i) {
        A* dq = w.dq + i * w.width;
        const std::int64_t query = first + i;
        for (std::int64_t d = 0; d < a.head_dim; ++d) dq[d] *= static_cast<A>(a.scale);
        const bool turn = a.cosine != nullptr;
        write_head<T>(dq, a.head_dim, a.pairs, turn ? a.cosine + query * a.pairs : nullptr,
                      turn ? a.sine + query * a.pairs : nullptr,
                      a.dq + query * a.q_row + head * a.q_head);
      }
      std::int64_t row = 0;
      for (std::int64_t r = 0; r < a.run_count && row < limit; ++r) {
        const KeyRun<T>& run = a.runs[r];
        const std::int64_t count = std::min(run.rows, limit - row);
        if (run.accumulator_row >= 0) {
          const std::int64_t target = run.accumulator_row * w.width;
          product<A>(count, w.width, rows, w.scores + row, 1, w.keys, w.o, w.width,
                     a.dvalues + target, w.width, true);
          product<A>(count, w.width, rows, w.dscores + row, 1, w.keys, w.q, w.width,
                     a.dkeys + target, w.width, true);
        }
        row += run.rows;
      }
    }
  }
}

template <typename T>
void key_gradients(const KeyGradients<T>& g) {
  using A = Accumulator<T>;
  const std::int64_t width = padded(g.head_dim);
  for (std::int64_t row = 0; row < g.rows; ++row) {
    const bool turn = g.cosine != nullptr;
    // The accumulators are scratch space: rotating in place is fine.
    write_head<T>(const_cast<A*>(g.dkeys_sum) + row * width, g.head_dim, g.pairs,
                  turn ? g.cosine + row * g.pairs : nullptr,
                  turn ? g.sine + row * g.pairs : nullptr, g.dkeys + row * g.key_row);
    write_head<T>(const_cast<A*>(g.dvalues_sum) + row * width, g.head_dim, 0, nullptr, nullptr,
                  g.dvalues + row * g.value_row);
  }
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

#pragma once

// Attention of one segment and one key head, forward and backward, in blocks of queries. Internal
// to loops.cpp, as lanes.h. In the formulas q, k, v, o are rows of a head, S = scale · q kᵀ + bias
// over the keys that a query may see, P = softmax(S):
//   o  = P v
//   dP = do vᵀ     dS = P · (dP − Σ P · dP)
//   dq = scale · dS k     dk += scale · dSᵀ q     dv += Pᵀ do
// Sums are accumulators; P and dS are rounded to the operands' type before they are multiplied.

#include <algorithm>

#include "model/kernels/small_products.h"

namespace taskneuron::kernels {
namespace {

// Whole lanes; rows of the workspace are padded() apart, which is a multiple of that.
template <typename A>
constexpr std::int64_t round_up(std::int64_t count) {
  return (count + kLanes<A> - 1) / kLanes<A> * kLanes<A>;
}

// ---- rows of heads ----

// One head of one row as A, rotated where there are angles. Lanes behind it within its last vector
// are zeros.
template <typename T>
inline void read_head(const T* source, std::int64_t width, std::int64_t pairs, const T* cosine,
                      const T* sine, Accumulator<T>* target) {
  using A = Accumulator<T>;
  for_lanes<A>(width, [&](auto lanes, std::int64_t i, std::int64_t part) {
    store(target + i, lanes.get(source + i, part));
  });
  if (cosine == nullptr) return;
  for_lanes<A>(pairs, [&](auto lanes, std::int64_t i, std::int64_t part) {
    const auto c = lanes.get(cosine + i, part), s = lanes.get(sine + i, part);
    const auto first = lanes.get(target + i, part), second = lanes.get(target + pairs + i, part);
    lanes.put(target + i, first * c - second * s, part);
    lanes.put(target + pairs + i, second * c + first * s, part);
  });
}

#ifdef __AVX512BF16__
// The same in bfloat16, two values to an operand. The rotated values are formed in float32.
inline void read_head(const Bfloat16* source, std::int64_t width, std::int64_t pairs,
                      const Bfloat16* cosine, const Bfloat16* sine, Pair* target) {
  Bfloat16* halves = reinterpret_cast<Bfloat16*>(target);
  for_lanes<float>(width, [&](auto lanes, std::int64_t i, std::int64_t part) {
    store(halves + i, lanes.get(source + i, part));
  });
  if (cosine == nullptr) return;
  for_lanes<float>(pairs, [&](auto lanes, std::int64_t i, std::int64_t part) {
    const auto c = lanes.get(cosine + i, part), s = lanes.get(sine + i, part);
    const auto first = lanes.get(source + i, part), second = lanes.get(source + pairs + i, part);
    lanes.put(halves + i, first * c - second * s, part);
    lanes.put(halves + pairs + i, second * c + first * s, part);
  });
}
#endif

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

// ---- rows as operands ----

// A row of accumulators as operands that are summed along it.
template <typename A>
inline void to_operands(const A* row, std::int64_t count, A* target) {
  if (row == target) return;
  for (std::int64_t i = 0; i < count; i += kLanes<A>) store(target + i, load(row + i));
}
#ifdef __AVX512BF16__
inline void to_operands(const float* row, std::int64_t count, Pair* target) {
  Bfloat16* halves = reinterpret_cast<Bfloat16*>(target);
  for (std::int64_t i = 0; i < count; i += kLanes<float>) store(halves + i, load(row + i));
}

// Rows of bfloat16 as operands that are summed over the rows: value i of rows 2r and 2r + 1 side by
// side in target[r·target_row + i]. A last odd row is paired with zeros. width: whole lanes.
inline void pair_rows(const Pair* rows, std::int64_t row_stride, std::int64_t count,
                      std::int64_t width, Pair* target, std::int64_t target_row) {
  const auto words_of = [](const Pair* row, std::int64_t i) {
    HalfLanes halves;
    std::memcpy(&halves, reinterpret_cast<const Bfloat16*>(row) + i, sizeof(halves));
    return __builtin_convertvector(halves, WordLanes);
  };
  for (std::int64_t r = 0; r < count; r += 2) {
    const Pair* first = rows + r * row_stride;
    for (std::int64_t i = 0; i < width; i += kLanes<float>) {
      WordLanes words = words_of(first, i);
      if (r + 1 < count) words |= words_of(first + row_stride, i) << 16;
      std::memcpy(target + r / 2 * target_row + i, &words, sizeof(words));
    }
  }
}
#endif

// A matrix of operands in the scratch space: row r starts at data + r·row.
template <typename Element>
struct OperandMatrix {
  Element* data = nullptr;
  std::int64_t row = 0;
};

// Scratch space of one call, cut up. For pairs, `rows` are operands along a row and `down` operands
// over two rows; for accumulators both are the same matrix.
template <typename T>
struct Workspace {
  using A = Accumulator<T>;
  using Element = Operand<T>;
  static constexpr bool kPairs = kDepth<T> == 2;

  std::int64_t keys, width;                           // padded, in values
  OperandMatrix<Element> k, v;                        // [keys, width], rows
  OperandMatrix<Element> kt, vt;                      // [width, keys], transposed rows
  OperandMatrix<Element> k_down, v_down;              // [keys, width]
  OperandMatrix<Element> q, dout, q_down, dout_down;  // [block, width]
  OperandMatrix<Element> p, ds, p_down, ds_down;      // [block, keys]
  A* out;                                             // [block, width]
  A *scores, *dscores;                                // [block, keys]

  Workspace(A* scratch, std::int64_t key_count, std::int64_t head_dim)
      : keys((key_count + 31) / 32 * 32), width((head_dim + 31) / 32 * 32) {
    const auto take = [&](std::int64_t values) {
      A* start = scratch;
      scratch += values;
      return start;
    };
    const auto matrix = [&](std::int64_t rows, std::int64_t columns) {
      return OperandMatrix<Element>{reinterpret_cast<Element*>(take(rows * columns)), columns};
    };
    constexpr std::int64_t d = kDepth<T>, block = kQueryBlock;
    k = matrix(keys, width / d);
    v = matrix(keys, width / d);
    kt = matrix(width / d, keys);
    vt = matrix(width / d, keys);
    q = matrix(block, width / d);
    dout = matrix(block, width / d);
    out = take(block * width);
    scores = take(block * keys);
    dscores = take(block * keys);
    k_down = k, v_down = v, q_down = q, dout_down = dout;
    p = p_down = {reinterpret_cast<Element*>(scores), keys};
    ds = ds_down = {reinterpret_cast<Element*>(dscores), keys};
    if constexpr (kPairs) {
      k_down = matrix(keys / d, width);
      v_down = matrix(keys / d, width);
      q_down = matrix(block / d, width);
      dout_down = matrix(block / d, width);
      p = matrix(block, keys / d);
      ds = matrix(block, keys / d);
      p_down = matrix(block / d, keys);
      ds_down = matrix(block / d, keys);
    }
  }

  // Fills a matrix's `down` form from its rows.
  void pair_down(const OperandMatrix<Element>& rows, std::int64_t count, std::int64_t columns,
                 const OperandMatrix<Element>& down) const {
    if constexpr (kPairs) pair_rows(rows.data, rows.row, count, columns, down.data, down.row);
  }
  // Operands that `count` values of the summed dimension make up.
  static std::int64_t operands(std::int64_t count) { return (count + kDepth<T> - 1) / kDepth<T>; }
};

// ---- what both directions begin with ----

template <typename T>
std::int64_t count_keys(const Attention<T>& a) {
  std::int64_t keys = 0;
  for (std::int64_t r = 0; r < a.run_count; ++r) keys += a.runs[r].rows;
  return keys;
}

template <typename T>
void read_keys(const Attention<T>& a, std::int64_t keys, Workspace<T>& w, bool backward) {
  std::int64_t row = 0;
  for (std::int64_t run = 0; run < a.run_count; ++run) {
    const KeyRun<T>& from = a.runs[run];
    for (std::int64_t i = 0; i < from.rows; ++i, ++row) {
      const bool turn = from.cosine != nullptr;
      read_head(from.keys + i * from.key_row + a.key_head * from.key_head, a.head_dim, a.pairs,
                turn ? from.cosine + i * a.pairs : nullptr,
                turn ? from.sine + i * a.pairs : nullptr, w.k.data + row * w.k.row);
      read_head(from.values + i * from.value_row + a.key_head * from.value_head, a.head_dim,
                std::int64_t{0}, static_cast<const T*>(nullptr), static_cast<const T*>(nullptr),
                w.v.data + row * w.v.row);
    }
  }
  // Rows past the last key, so that what is padded stays finite.
  std::fill(w.k.data + keys * w.k.row, w.k.data + w.keys * w.k.row, Operand<T>{});
  std::fill(w.v.data + keys * w.v.row, w.v.data + w.keys * w.v.row, Operand<T>{});
  transpose(w.k.data, w.keys, w.k.row, w.k.row, w.kt.data, w.kt.row);
  if (backward) {
    transpose(w.v.data, w.keys, w.v.row, w.v.row, w.vt.data, w.vt.row);
    w.pair_down(w.k, w.keys, w.width, w.k_down);
  } else {
    w.pair_down(w.v, w.keys, w.width, w.v_down);
  }
}

// One head's queries [first, first + rows), which see the first `limit` keys at most.
struct Block {
  std::int64_t head, first, rows, limit;
};

// The block's queries and their scores S; keys that a query may not see are left to the caller.
template <typename T>
void read_scores(const Attention<T>& a, const Block& block, Workspace<T>& w) {
  using A = Accumulator<T>;
  for (std::int64_t i = 0; i < block.rows; ++i) {
    const std::int64_t query = block.first + i;
    const bool turn = a.cosine != nullptr;
    read_head(a.q + query * a.q_row + block.head * a.q_head, a.head_dim, a.pairs,
              turn ? a.cosine + query * a.pairs : nullptr,
              turn ? a.sine + query * a.pairs : nullptr, w.q.data + i * w.q.row);
  }
  product(block.rows, round_up<A>(block.limit), w.operands(a.head_dim), w.q.data, w.q.row,
          std::int64_t{1}, w.kt.data, w.kt.row, w.scores, w.keys, false);
  for (std::int64_t i = 0; i < block.rows; ++i) {
    A* scores = w.scores + i * w.keys;
    for (std::int64_t k = 0; k < round_up<A>(block.limit); k += kLanes<A>) {
      store(scores + k, load(scores + k) * static_cast<A>(a.scale));
    }
    if (a.bias == nullptr) continue;
    const float* bias = a.bias + (block.first + i) * a.bias_row + block.head * a.bias_head;
    for (std::int64_t k = 0; k < std::min(block.limit, a.visible + block.first + i); ++k) {
      scores[k] += static_cast<A>(bias[k]);
    }
  }
}

// Calls body for every block of the heads that share the key head.
template <typename T, typename Body>
void for_each_block(const Attention<T>& a, std::int64_t keys, const Body& body) {
  for (std::int64_t head = a.key_head * a.group; head < (a.key_head + 1) * a.group; ++head) {
    for (std::int64_t first = 0; first < a.queries; first += kQueryBlock) {
      const std::int64_t rows = std::min(kQueryBlock, a.queries - first);
      body(Block{head, first, rows, std::min(keys, a.visible + first + rows - 1)});
    }
  }
}

// ---- forward ----

// exp(scores − shift) of the keys that are seen, in place, zeros behind them up to whole lanes.
template <typename A>
inline Lanes<A> exponentials(A* scores, std::int64_t seen, A shift) {
  using V = Lanes<A>;
  V sums{};
  for_lanes<A>(seen, [&](auto lanes, std::int64_t k, std::int64_t part) {
    V v = exponential(lanes.get(scores + k, part) - shift);
    for (std::int64_t l = part; l < kLanes<A>; ++l) v[l] = 0;
    store(scores + k, v);
    sums += v;
  });
  return sums;
}

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

// The softmax of one row of scores, as operands; returns log Σ exp(score).
template <typename T>
Accumulator<T> softmax_row(Workspace<T>& w, std::int64_t i, std::int64_t seen, std::int64_t limit) {
  using A = Accumulator<T>;
  A* scores = w.scores + i * w.keys;
  const A top = highest_of(scores, seen);
  const A sum = sum_of<A>(exponentials(scores, seen, top));
  const A inverse = 1 / sum;
  for (std::int64_t k = 0; k < round_up<A>(seen); k += kLanes<A>) {
    store(scores + k, load(scores + k) * inverse);
  }
  std::fill(scores + round_up<A>(seen), scores + round_up<A>(limit), A(0));
  to_operands(scores, round_up<A>(limit), w.p.data + i * w.p.row);
  return top + std::log(sum);
}

template <typename T>
void attention(const Attention<T>& a) {
  using A = Accumulator<T>;
  const std::int64_t keys = count_keys(a);
  Workspace<T> w(a.scratch, keys, a.head_dim);
  read_keys(a, keys, w, false);
  for_each_block(a, keys, [&](const Block& block) {
    read_scores(a, block, w);
    for (std::int64_t i = 0; i < block.rows; ++i) {
      const std::int64_t query = block.first + i;
      const A log_sum = softmax_row(w, i, std::min(keys, a.visible + query), block.limit);
      if (a.log_sum != nullptr) a.log_sum[block.head * a.log_sum_head + query] = log_sum;
    }
    product(block.rows, padded(a.head_dim), w.operands(block.limit), w.p.data, w.p.row,
            std::int64_t{1}, w.v_down.data, w.v_down.row, w.out, w.width, false);
    for (std::int64_t i = 0; i < block.rows; ++i) {
      write_head<T>(w.out + i * w.width, a.head_dim, 0, nullptr, nullptr,
                    a.output + (block.first + i) * a.output_row + block.head * a.output_head);
    }
  });
}

// ---- backward ----

// P and scale · dS of one row, as operands. P is formed again from the scores and their saved
// log-sum: cheaper than keeping [heads, queries, keys] until the backward pass.
template <typename T>
void softmax_backward_row(Workspace<T>& w, std::int64_t i, std::int64_t seen, std::int64_t limit,
                          Accumulator<T> log_sum, Accumulator<T> scale) {
  using A = Accumulator<T>;
  A* probabilities = w.scores + i * w.keys;
  A* gradient = w.dscores + i * w.keys;
  exponentials(probabilities, seen, log_sum);
  const std::int64_t whole = round_up<A>(seen);
  Lanes<A> sums{};
  for (std::int64_t k = 0; k < whole; k += kLanes<A>) {
    sums += load(probabilities + k) * load(gradient + k);
  }
  const A mean = sum_of<A>(sums);
  for (std::int64_t k = 0; k < whole; k += kLanes<A>) {
    store(gradient + k, load(probabilities + k) * (load(gradient + k) - mean) * scale);
  }
  std::fill(probabilities + whole, probabilities + round_up<A>(limit), A(0));
  std::fill(gradient + whole, gradient + round_up<A>(limit), A(0));
  to_operands(probabilities, round_up<A>(limit), w.p.data + i * w.p.row);
  to_operands(gradient, round_up<A>(limit), w.ds.data + i * w.ds.row);
}

template <typename T>
void write_query_gradients(const Attention<T>& a, const Block& block, Workspace<T>& w) {
  product(block.rows, padded(a.head_dim), w.operands(block.limit), w.ds.data, w.ds.row,
          std::int64_t{1}, w.k_down.data, w.k_down.row, w.out, w.width, false);
  for (std::int64_t i = 0; i < block.rows; ++i) {
    const std::int64_t query = block.first + i;
    const bool turn = a.cosine != nullptr;
    write_head<T>(
        w.out + i * w.width, a.head_dim, a.pairs, turn ? a.cosine + query * a.pairs : nullptr,
        turn ? a.sine + query * a.pairs : nullptr, a.dq + query * a.q_row + block.head * a.q_head);
  }
}

template <typename T>
void add_key_gradients(const Attention<T>& a, const Block& block, Workspace<T>& w) {
  using A = Accumulator<T>;
  const std::int64_t columns = padded(a.head_dim), depth = w.operands(block.rows);
  w.pair_down(w.q, block.rows, columns, w.q_down);
  w.pair_down(w.dout, block.rows, columns, w.dout_down);
  w.pair_down(w.p, block.rows, round_up<A>(block.limit), w.p_down);
  w.pair_down(w.ds, block.rows, round_up<A>(block.limit), w.ds_down);
  std::int64_t row = 0;
  for (std::int64_t r = 0; r < a.run_count && row < block.limit; ++r) {
    const KeyRun<T>& run = a.runs[r];
    const std::int64_t count = std::min(run.rows, block.limit - row);
    if (run.accumulator_row >= 0) {
      const std::int64_t target = run.accumulator_row * columns;
      product(count, columns, depth, w.p_down.data + row, std::int64_t{1}, w.p_down.row,
              w.dout_down.data, w.dout_down.row, a.dvalues + target, columns, true);
      product(count, columns, depth, w.ds_down.data + row, std::int64_t{1}, w.ds_down.row,
              w.q_down.data, w.q_down.row, a.dkeys + target, columns, true);
    }
    row += run.rows;
  }
}

template <typename T>
void attention_backward(const Attention<T>& a) {
  using A = Accumulator<T>;
  const std::int64_t keys = count_keys(a);
  Workspace<T> w(a.scratch, keys, a.head_dim);
  read_keys(a, keys, w, true);
  for_each_block(a, keys, [&](const Block& block) {
    read_scores(a, block, w);
    for (std::int64_t i = 0; i < block.rows; ++i) {
      read_head(a.doutput + (block.first + i) * a.output_row + block.head * a.output_head,
                a.head_dim, std::int64_t{0}, static_cast<const T*>(nullptr),
                static_cast<const T*>(nullptr), w.dout.data + i * w.dout.row);
    }
    product(block.rows, round_up<A>(block.limit), w.operands(a.head_dim), w.dout.data, w.dout.row,
            std::int64_t{1}, w.vt.data, w.vt.row, w.dscores, w.keys, false);
    for (std::int64_t i = 0; i < block.rows; ++i) {
      const std::int64_t query = block.first + i;
      softmax_backward_row(w, i, std::min(keys, a.visible + query), block.limit,
                           a.log_sum[block.head * a.log_sum_head + query], static_cast<A>(a.scale));
    }
    write_query_gradients(a, block, w);
    add_key_gradients(a, block, w);
  });
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

}  // namespace
}  // namespace taskneuron::kernels

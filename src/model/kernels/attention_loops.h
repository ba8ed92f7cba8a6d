#pragma once

// Attention of one segment and one key head, forward and backward, in blocks of queries. Internal
// to loops.cpp, as lanes.h. In the formulas q, k, v, o are rows of a head, S = scale · q kᵀ + bias
// over the keys that a query may see, P = softmax(S):
//   o  = P v
//   dP = do vᵀ     dS = P · (dP − Σ P · dP)
//   dq = scale · dS k     dk += scale · dSᵀ q     dv += Pᵀ do
// Sums are accumulators; P and dS are rounded to the operands' type before they are multiplied.

#include <algorithm>

#include "model/kernels/attention_workspace.h"

namespace taskneuron::kernels {
namespace {

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
      read_head<T>(from.keys + i * from.key_row + a.key_head * from.key_head, a.head_dim, a.pairs,
                   turn ? from.cosine + i * a.pairs : nullptr,
                   turn ? from.sine + i * a.pairs : nullptr, w.k.values(row));
      read_head<T>(from.values + i * from.value_row + a.key_head * from.value_head, a.head_dim,
                   w.v.values(row));
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

// The block's queries and their scores: S, or S / factor with the factor returned. Keys that a
// query may not see are left to the caller.
template <typename T>
Accumulator<T> read_scores(const Attention<T>& a, const Block& block, Workspace<T>& w) {
  using A = Accumulator<T>;
  for (std::int64_t i = 0; i < block.rows; ++i) {
    const std::int64_t query = block.first + i;
    const bool turn = a.cosine != nullptr;
    read_head<T>(a.q + query * a.q_row + block.head * a.q_head, a.head_dim, a.pairs,
                 turn ? a.cosine + query * a.pairs : nullptr,
                 turn ? a.sine + query * a.pairs : nullptr, w.q.values(i));
  }
  product(block.rows, round_up<A>(block.limit), w.operands(a.head_dim), w.q.data, w.q.row,
          std::int64_t{1}, w.kt.data, w.kt.row, w.scores, w.keys, false);
  if (a.bias == nullptr) return static_cast<A>(a.scale);
  for (std::int64_t i = 0; i < block.rows; ++i) {
    A* scores = w.scores + i * w.keys;
    const float* bias = a.bias + (block.first + i) * a.bias_row + block.head * a.bias_head;
    for (std::int64_t k = 0; k < std::min(block.limit, a.visible + block.first + i); ++k) {
      scores[k] = scores[k] * static_cast<A>(a.scale) + static_cast<A>(bias[k]);
    }
  }
  return 1;
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

// The softmax of one row of factor · scores, as operands; returns log Σ exp.
template <typename T>
Accumulator<T> softmax_row(Workspace<T>& w, std::int64_t i, std::int64_t seen, std::int64_t limit,
                           Accumulator<T> factor) {
  using A = Accumulator<T>;
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

template <typename T>
void attention(const Attention<T>& a) {
  using A = Accumulator<T>;
  const std::int64_t keys = count_keys(a);
  Workspace<T> w(a.scratch, keys, a.head_dim);
  read_keys(a, keys, w, false);
  for_each_block(a, keys, [&](const Block& block) {
    const A factor = read_scores(a, block, w);
    for (std::int64_t i = 0; i < block.rows; ++i) {
      const std::int64_t query = block.first + i;
      const A log_sum = softmax_row(w, i, std::min(keys, a.visible + query), block.limit, factor);
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

// P and scale · dS of one row, as operands. P is formed again from the scores (times factor) and
// their saved log-sum: cheaper than keeping [heads, queries, keys] until the backward pass.
template <typename T>
void softmax_backward_row(Workspace<T>& w, std::int64_t i, std::int64_t seen, std::int64_t limit,
                          Accumulator<T> factor, Accumulator<T> log_sum, Accumulator<T> scale) {
  using A = Accumulator<T>;
  A* scores = w.scores + i * w.keys;
  const A* gradient = w.dscores + i * w.keys;
  Lanes<A> sums{};
  for_lanes<A>(seen, [&](auto lanes, std::int64_t k, std::int64_t part) {
    auto v = exponential(factor * lanes.get(scores + k, part) - log_sum);
    for (std::int64_t l = part; l < kLanes<A>; ++l) v[l] = 0;
    store(scores + k, v);
    sums += v * load(gradient + k);
  });
  const A mean = sum_of<A>(sums);
  Stored<T>*p = w.p.values(i), *ds = w.ds.values(i);
  const std::int64_t whole = round_up<A>(seen);
  for (std::int64_t k = 0; k < whole; k += kLanes<A>) {
    const auto v = load(scores + k);
    store(ds + k, v * (load(gradient + k) - mean) * scale);
    store(p + k, v);
  }
  std::fill(p + whole, p + round_up<A>(limit), Stored<T>{});
  std::fill(ds + whole, ds + round_up<A>(limit), Stored<T>{});
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
    const A factor = read_scores(a, block, w);
    for (std::int64_t i = 0; i < block.rows; ++i) {
      read_head<T>(a.doutput + (block.first + i) * a.output_row + block.head * a.output_head,
                   a.head_dim, w.dout.values(i));
    }
    product(block.rows, round_up<A>(block.limit), w.operands(a.head_dim), w.dout.data, w.dout.row,
            std::int64_t{1}, w.vt.data, w.vt.row, w.dscores, w.keys, false);
    for (std::int64_t i = 0; i < block.rows; ++i) {
      const std::int64_t query = block.first + i;
      softmax_backward_row(w, i, std::min(keys, a.visible + query), block.limit, factor,
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

#pragma once

// The blocks that attention runs in, forward and backward: reading keys, queries and scores.
// Internal to loops.cpp, as lanes.h.

#include <algorithm>

#include "model/kernels/attention_workspace.h"

namespace taskneuron::kernels {
namespace {

enum class Direction { kForward, kBackward };

template <typename T>
std::int64_t count_keys(const Attention<T>& a) {
  std::int64_t keys = 0;
  for (std::int64_t r = 0; r < a.run_count; ++r) keys += a.runs[r].rows;
  return keys;
}

template <typename T>
void read_keys(const Attention<T>& a, std::int64_t keys, Workspace<T>& w, Direction direction) {
  std::int64_t row = 0;
  for (std::int64_t run = 0; run < a.run_count; ++run) {
    const KeyRun<T>& from = a.runs[run];
    for (std::int64_t i = 0; i < from.rows; ++i, ++row) {
      read_head<T>(from.keys + i * from.key_row + a.key_head * from.key_head, a.head_dim,
                   rotation_from(from.rotation, i), w.k.values(row));
      read_head<T>(from.values + i * from.value_row + a.key_head * from.value_head, a.head_dim, {},
                   w.v.values(row));
    }
  }
  // Rows past the last key, so that what is padded stays finite.
  std::fill(w.k.data + keys * w.k.row, w.k.data + w.keys * w.k.row, Operand<T>{});
  std::fill(w.v.data + keys * w.v.row, w.v.data + w.keys * w.v.row, Operand<T>{});
  transpose(w.k.view(), w.keys, w.k.row, w.kt.data, w.kt.row);
  if (direction == Direction::kBackward) {
    transpose(w.v.view(), w.keys, w.v.row, w.vt.data, w.vt.row);
    w.pair_down(w.k, w.keys, w.width, w.k_down);
  } else {
    w.pair_down(w.v, w.keys, w.width, w.v_down);
  }
}

// Where a query's head starts in its row.
template <typename T>
std::int64_t query_head(const Attention<T>& a, std::int64_t head) {
  return a.key_head * a.q_group + (head - a.key_head * a.group) * a.q_head;
}

// One head's queries [first, first + rows), which see the first `limit` keys at most. Their scores
// are factor · w.scores.
template <typename T>
struct Block {
  std::int64_t head, first, rows, limit;
  std::int64_t visible;  // keys that the block's first query may see
  Accumulator<T> factor;

  // Keys that its query i sees.
  std::int64_t seen(std::int64_t i) const { return std::min(limit, visible + i); }
};

// Scores s of the keys that a query sees become softcap · tanh(scale · s / softcap).
template <typename T>
void cap_scores(const Attention<T>& a, Accumulator<T>* scores, std::int64_t seen) {
  using A = Accumulator<T>;
  const A cap = static_cast<A>(a.softcap), factor = static_cast<A>(2 * a.scale / a.softcap);
  for_lanes<A>(seen, [&](auto lanes, std::int64_t k, std::int64_t part) {
    // tanh u = 1 − 2 / (exp 2u + 1), which ends at ±1 as exp does at its limits.
    const auto v = exponential(factor * lanes.get(scores + k, part));
    lanes.put(scores + k, cap - 2 * cap / (v + A(1)), part);
  });
}

// The block's queries, and q kᵀ as scores (scale · q kᵀ + bias and a factor of 1 where there is a
// bias or a cap). Keys that a query may not see are left to the caller.
template <typename T>
void read_scores(const Attention<T>& a, Block<T>& block, Workspace<T>& w) {
  using A = Accumulator<T>;
  for (std::int64_t i = 0; i < block.rows; ++i) {
    const std::int64_t query = block.first + i;
    read_head<T>(a.q + query * a.q_row + query_head(a, block.head), a.head_dim,
                 rotation_from(a.rotation, query), w.q.values(i));
  }
  multiply<Operand<T>>({.rows = block.rows,
                        .columns = round_up<A>(block.limit),
                        .depth = w.operands(a.head_dim),
                        .a = w.q.view(),
                        .b = w.kt.view(),
                        .c = w.scores,
                        .c_row = w.keys});
  block.factor = static_cast<A>(a.scale);
  if (a.softcap > 0) {
    for (std::int64_t i = 0; i < block.rows; ++i) {
      cap_scores(a, w.scores + i * w.keys, block.seen(i));
    }
    block.factor = 1;
  }
  if (a.bias == nullptr) return;
  const A factor = block.factor;
  for (std::int64_t i = 0; i < block.rows; ++i) {
    A* scores = w.scores + i * w.keys;
    const float* bias = a.bias + (block.first + i) * a.bias_row + block.head * a.bias_head;
    for (std::int64_t k = 0; k < block.seen(i); ++k) {
      scores[k] = scores[k] * factor + static_cast<A>(bias[k]);
    }
  }
  block.factor = 1;
}

// Reads the keys, then calls body(block, workspace) for every block of the heads that share the key
// head, with its queries and scores in the workspace.
template <typename T, typename Body>
void for_each_block(const Attention<T>& a, Direction direction, const Body& body) {
  const std::int64_t keys = count_keys(a);
  Workspace<T> w(a.scratch, keys, a.head_dim);
  read_keys(a, keys, w, direction);
  for (std::int64_t head = a.key_head * a.group; head < (a.key_head + 1) * a.group; ++head) {
    for (std::int64_t first = 0; first < a.queries; first += kQueryBlock) {
      const std::int64_t rows = std::min(kQueryBlock, a.queries - first);
      const std::int64_t visible = a.visible + first;
      Block<T> block{head, first, rows, std::min(keys, visible + rows - 1), visible, 1};
      read_scores(a, block, w);
      body(block, w);
    }
  }
}

}  // namespace
}  // namespace taskneuron::kernels

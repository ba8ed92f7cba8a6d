#pragma once

// Attention of one segment and one key head, forward and backward, in blocks of queries. Internal
// to loops.cpp, as lanes.h. In the formulas q, k, v, o are rows of a head, S = scale · q kᵀ + bias
// over the keys that a query may see (capped as attention_blocks.h says), P = softmax(S):
//   o  = P v
//   dP = do vᵀ     dS = P · (dP − Σ P · dP)
//   dq = scale · dS k     dk += scale · dSᵀ q     dv += Pᵀ do
// Sums are accumulators; P and dS are rounded to the operands' type before they are multiplied.

#include "model/kernels/softmax_loops.h"

namespace taskneuron::kernels {
namespace {

template <typename T>
void attention(const Attention<T>& a) {
  using A = Accumulator<T>;
  for_each_block(a, Direction::kForward, [&](const Block<T>& block, Workspace<T>& w) {
    for (std::int64_t i = 0; i < block.rows; ++i) {
      const A log_sum = softmax_row(w, i, block);
      if (a.log_sum != nullptr) a.log_sum[block.head * a.log_sum_head + block.first + i] = log_sum;
    }
    multiply<Operand<T>>({.rows = block.rows,
                          .columns = padded(a.head_dim),
                          .depth = w.operands(block.limit),
                          .a = w.p.view(),
                          .b = w.v_down.view(),
                          .c = w.out,
                          .c_row = w.width});
    for (std::int64_t i = 0; i < block.rows; ++i) {
      write_head<T>(w.out + i * w.width, a.head_dim, {},
                    a.output + (block.first + i) * a.output_row + block.head * a.output_head);
    }
  });
}

// dP = do vᵀ
template <typename T>
void read_probability_gradients(const Attention<T>& a, const Block<T>& block, Workspace<T>& w) {
  for (std::int64_t i = 0; i < block.rows; ++i) {
    read_head<T>(a.doutput + (block.first + i) * a.output_row + block.head * a.output_head,
                 a.head_dim, {}, w.dout.values(i));
  }
  multiply<Operand<T>>({.rows = block.rows,
                        .columns = round_up<Accumulator<T>>(block.limit),
                        .depth = w.operands(a.head_dim),
                        .a = w.dout.view(),
                        .b = w.vt.view(),
                        .c = w.dscores,
                        .c_row = w.keys});
}

// dq = scale · dS k
template <typename T>
void write_query_gradients(const Attention<T>& a, const Block<T>& block, Workspace<T>& w) {
  multiply<Operand<T>>({.rows = block.rows,
                        .columns = padded(a.head_dim),
                        .depth = w.operands(block.limit),
                        .a = w.ds.view(),
                        .b = w.k_down.view(),
                        .c = w.out,
                        .c_row = w.width});
  for (std::int64_t i = 0; i < block.rows; ++i) {
    const std::int64_t query = block.first + i;
    write_head<T>(w.out + i * w.width, a.head_dim, rotation_from(a.rotation, query),
                  a.dq + query * a.q_row + query_head(a, block.head));
  }
}

// dk += scale · dSᵀ q and dv += Pᵀ do, of the keys whose gradients go somewhere.
template <typename T>
void add_key_gradients(const Attention<T>& a, const Block<T>& block, Workspace<T>& w) {
  using A = Accumulator<T>;
  const std::int64_t columns = padded(a.head_dim), depth = w.operands(block.rows);
  w.pair_down(w.q, block.rows, columns, w.q_down);
  w.pair_down(w.dout, block.rows, columns, w.dout_down);
  w.pair_down(w.p, block.rows, round_up<A>(block.limit), w.p_down);
  w.pair_down(w.ds, block.rows, round_up<A>(block.limit), w.ds_down);
  std::int64_t row = 0;
  for (std::int64_t r = 0; r < a.run_count && row < block.limit; ++r) {
    const KeyRun<T>& run = a.runs[r];
    const auto add = [&](const OperandMatrix<T>& left, const OperandMatrix<T>& right, A* sums) {
      multiply<Operand<T>>({.rows = std::min(run.rows, block.limit - row),
                            .columns = columns,
                            .depth = depth,
                            .a = left.transposed(row),
                            .b = right.view(),
                            .c = sums + run.accumulator_row * columns,
                            .c_row = columns,
                            .add = true});
    };
    if (run.accumulator_row >= 0) {
      add(w.p_down, w.dout_down, a.dvalues);
      add(w.ds_down, w.q_down, a.dkeys);
    }
    row += run.rows;
  }
}

template <typename T>
void attention_backward(const Attention<T>& a) {
  using A = Accumulator<T>;
  for_each_block(a, Direction::kBackward, [&](const Block<T>& block, Workspace<T>& w) {
    read_probability_gradients(a, block, w);
    for (std::int64_t i = 0; i < block.rows; ++i) {
      const A log_sum = a.log_sum[block.head * a.log_sum_head + block.first + i];
      if (a.softcap > 0) {
        softmax_backward_row<true>(w, i, block, log_sum, a);
      } else {
        softmax_backward_row<false>(w, i, block, log_sum, a);
      }
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
    // The accumulators are scratch space: rotating in place is fine.
    write_head<T>(const_cast<A*>(g.dkeys_sum) + row * width, g.head_dim,
                  rotation_from(g.rotation, row), g.dkeys + row * g.key_row);
    write_head<T>(const_cast<A*>(g.dvalues_sum) + row * width, g.head_dim, {},
                  g.dvalues + row * g.value_row);
  }
}

}  // namespace
}  // namespace taskneuron::kernels

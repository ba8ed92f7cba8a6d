#pragma once

// What attention_loops.h keeps of one segment and one key head: rows of heads and of scores, in the
// forms that small_products.h multiplies. Internal to loops.cpp, as lanes.h.

#include "model/kernels/small_products.h"

namespace taskneuron::kernels {
namespace {

// Whole lanes; rows of the workspace are padded() apart, which is a multiple of that.
template <typename A>
constexpr std::int64_t round_up(std::int64_t count) {
  return (count + kLanes<A> - 1) / kLanes<A> * kLanes<A>;
}

// ---- rows of heads ----

// The angles of the rows from `row` on.
template <typename T>
inline Rotation<T> rotation_from(const Rotation<T>& rotation, std::int64_t row) {
  if (rotation.cosine == nullptr) return {};
  return {rotation.pairs, rotation.cosine + row * rotation.pairs,
          rotation.sine + row * rotation.pairs, rotation.neighbours};
}

// Turns pairs of neighbours (x, y) of a row: (x cos − y sin, y cos + x sin), with −sin for inverse.
template <typename T, typename Source, typename Target>
inline void turn_neighbours(const Source* source, const Rotation<T>& rotation, bool inverse,
                            Target* target) {
  using A = Accumulator<T>;
  for (std::int64_t i = 0; i < rotation.pairs; ++i) {
    const A c = widen(rotation.cosine[i]);
    const A s = inverse ? -widen(rotation.sine[i]) : widen(rotation.sine[i]);
    const A x = widen(source[2 * i]), y = widen(source[2 * i + 1]);
    store_part(target + 2 * i, all<Lanes<A>>(x * c - y * s), 1);
    store_part(target + 2 * i + 1, all<Lanes<A>>(y * c + x * s), 1);
  }
}

// One head of one row as values of the workspace, rotated (in the accumulators' type) where there
// are angles: with pair (x, y), target = (x cos − y sin, y cos + x sin). Lanes behind it within its
// last vector are zeros.
template <typename T>
inline void read_head(const T* source, std::int64_t width, const Rotation<T>& rotation,
                      Stored<T>* target) {
  using A = Accumulator<T>;
  for_lanes<A>(width, [&](auto lanes, std::int64_t i, std::int64_t part) {
    store(target + i, lanes.get(source + i, part));
  });
  if (rotation.cosine == nullptr) return;
  if (rotation.neighbours) return turn_neighbours<T>(source, rotation, /*inverse=*/false, target);
  const std::int64_t pairs = rotation.pairs;
  for_lanes<A>(pairs, [&](auto lanes, std::int64_t i, std::int64_t part) {
    const auto c = lanes.get(rotation.cosine + i, part), s = lanes.get(rotation.sine + i, part);
    const auto first = lanes.get(source + i, part), second = lanes.get(source + pairs + i, part);
    lanes.put(target + i, first * c - second * s, part);
    lanes.put(target + pairs + i, second * c + first * s, part);
  });
}

// The inverse rotation in place, then stored as T.
template <typename T>
inline void write_head(Accumulator<T>* source, std::int64_t width, const Rotation<T>& rotation,
                       T* target) {
  using A = Accumulator<T>;
  const std::int64_t pairs = rotation.pairs;
  if (rotation.neighbours) {
    turn_neighbours<T>(source, rotation, /*inverse=*/true, source);
  } else if (rotation.cosine != nullptr) {
    for_lanes<A>(pairs, [&](auto lanes, std::int64_t i, std::int64_t part) {
      const auto c = lanes.get(rotation.cosine + i, part), s = lanes.get(rotation.sine + i, part);
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

#ifdef __AVX512BF16__
// Rows of bfloat16 as operands that are summed over the rows: value i of rows 2r and 2r + 1 side by
// side in target[r·target_row + i]. A last odd row is paired with zeros. width: whole lanes.
inline void pair_rows(OperandView<Pair> rows, std::int64_t count, std::int64_t width, Pair* target,
                      std::int64_t target_row) {
  const auto words_of = [](const Pair* row, std::int64_t i) {
    HalfLanes halves;
    std::memcpy(&halves, reinterpret_cast<const Bfloat16*>(row) + i, sizeof(halves));
    return __builtin_convertvector(halves, WordLanes);
  };
  for (std::int64_t r = 0; r < count; r += 2) {
    const Pair* first = rows.data + r * rows.row;
    for (std::int64_t i = 0; i < width; i += kLanes<float>) {
      WordLanes words = words_of(first, i);
      if (r + 1 < count) words |= words_of(first + rows.row, i) << 16;
      std::memcpy(target + r / 2 * target_row + i, &words, sizeof(words));
    }
  }
}
#endif

// A matrix of operands in the scratch space: row r starts at data + r·row.
template <typename T>
struct OperandMatrix {
  Operand<T>* data = nullptr;
  std::int64_t row = 0;

  // The values of a row whose operands lie along it.
  Stored<T>* values(std::int64_t r) const { return reinterpret_cast<Stored<T>*>(data + r * row); }
  OperandView<Operand<T>> view() const { return {data, row}; }
  // Its columns from `column` on as rows.
  OperandView<Operand<T>> transposed(std::int64_t column) const { return {data + column, 1, row}; }
};

// Scratch space of one call, cut up. For pairs, `rows` are operands along a row and `down` operands
// over two rows; for accumulators both are the same matrix.
template <typename T>
struct Workspace {
  using A = Accumulator<T>;
  using Element = Operand<T>;
  static constexpr bool kPairs = kDepth<T> == 2;

  std::int64_t keys, width;                     // padded, in values
  OperandMatrix<T> k, v;                        // [keys, width], rows
  OperandMatrix<T> kt, vt;                      // [width, keys], transposed rows
  OperandMatrix<T> k_down, v_down;              // [keys, width]
  OperandMatrix<T> q, dout, q_down, dout_down;  // [block, width]
  OperandMatrix<T> p, ds, p_down, ds_down;      // [block, keys]
  A* out;                                       // [block, width]
  A *scores, *dscores;                          // [block, keys]

  Workspace(A* scratch, std::int64_t key_count, std::int64_t head_dim)
      : keys((key_count + 31) / 32 * 32), width((head_dim + 31) / 32 * 32) {
    const auto take = [&](std::int64_t values) {
      A* start = scratch;
      scratch += values;
      return start;
    };
    const auto matrix = [&](std::int64_t rows, std::int64_t columns) {
      return OperandMatrix<T>{reinterpret_cast<Element*>(take(rows * columns)), columns};
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
  void pair_down(const OperandMatrix<T>& rows, std::int64_t count, std::int64_t columns,
                 const OperandMatrix<T>& down) const {
    if constexpr (kPairs) pair_rows(rows.view(), count, columns, down.data, down.row);
  }
  // Operands that `count` values of the summed dimension make up.
  static std::int64_t operands(std::int64_t count) { return (count + kDepth<T> - 1) / kDepth<T>; }
};

}  // namespace
}  // namespace taskneuron::kernels

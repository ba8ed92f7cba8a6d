#pragma once

// Products of small matrices that lie in the cache, for attention. Internal to loops.cpp, as
// lanes.h.

#include <type_traits>

#include "model/kernels/lanes.h"

namespace taskneuron::kernels {
namespace {

// What products multiply: values of the accumulator's type, or pairs of bfloat16 values that are
// neighbours in the dimension that is summed over, where the processor multiplies those.
struct Pair {
  std::uint32_t bits;
};

template <typename T>
struct OperandOf {
  using Type = Accumulator<T>;
};
#ifdef __AVX512BF16__
template <>
struct OperandOf<Bfloat16> {
  using Type = Pair;
};
#endif
template <typename T>
using Operand = typename OperandOf<T>::Type;
// Values of the summed dimension in one operand.
template <typename T>
constexpr std::int64_t kDepth = std::is_same_v<Operand<T>, Pair> ? 2 : 1;

// One value of an operand, as it lies in memory.
template <typename T>
using Stored = std::conditional_t<kDepth<T> == 2, Bfloat16, Accumulator<T>>;

template <typename Element>
struct SumOf {
  using Type = Element;
};
template <>
struct SumOf<Pair> {
  using Type = float;
};
template <typename Element>
using Sum = typename SumOf<Element>::Type;

template <typename A>
inline Lanes<A> load_operands(const A* p) {
  return load(p);
}
template <typename A>
inline void multiply_add(Lanes<A>& sum, A left, Lanes<A> right) {
  sum += left * right;
}
#ifdef __AVX512BF16__
inline __m512bh load_operands(const Pair* p) { return (__m512bh)_mm512_loadu_si512(p); }
inline void multiply_add(FloatLanes& sum, Pair left, __m512bh right) {
  const __m512i both = _mm512_set1_epi32(static_cast<int>(left.bits));
  sum = (FloatLanes)_mm512_dpbf16_ps((__m512)sum, (__m512bh)both, right);
}
#endif

// c[rows, lanes] (+)= a b over `depth` operands; a(r, k) = a[r·a_row + k·a_column]; b, c row-major.
template <typename Element, int rows, int lanes>
inline void tile(const Element* a, std::int64_t a_row, std::int64_t a_column, const Element* b,
                 std::int64_t b_row, Sum<Element>* c, std::int64_t c_row, std::int64_t depth,
                 bool add) {
  using A = Sum<Element>;
  using V = Lanes<A>;
  V sums[rows][lanes];
  for (int r = 0; r < rows; ++r) {
    for (int l = 0; l < lanes; ++l) {
      sums[r][l] = add ? load(c + r * c_row + l * kLanes<A>) : V{};
    }
  }
  for (std::int64_t k = 0; k < depth; ++k) {
    decltype(load_operands(b)) right[lanes];
    for (int l = 0; l < lanes; ++l) right[l] = load_operands(b + k * b_row + l * kLanes<A>);
    for (int r = 0; r < rows; ++r) {
      const Element left = a[r * a_row + k * a_column];
      for (int l = 0; l < lanes; ++l) multiply_add(sums[r][l], left, right[l]);
    }
  }
  for (int r = 0; r < rows; ++r) {
    for (int l = 0; l < lanes; ++l) store(c + r * c_row + l * kLanes<A>, sums[r][l]);
  }
}

template <typename Element, int rows>
inline void strip(const Element* a, std::int64_t a_row, std::int64_t a_column, const Element* b,
                  std::int64_t b_row, Sum<Element>* c, std::int64_t c_row, std::int64_t columns,
                  std::int64_t depth, bool add) {
  constexpr int kTile = TASKNEURON_TILE_LANES;
  constexpr std::int64_t kWidth = kLanes<Sum<Element>>;
  std::int64_t j = 0;
  for (; j + kTile * kWidth <= columns; j += kTile * kWidth) {
    tile<Element, rows, kTile>(a, a_row, a_column, b + j, b_row, c + j, c_row, depth, add);
  }
  if constexpr (kTile > 2) {
    for (; j + 2 * kWidth <= columns; j += 2 * kWidth) {
      tile<Element, rows, 2>(a, a_row, a_column, b + j, b_row, c + j, c_row, depth, add);
    }
  }
  for (; j < columns; j += kWidth) {
    tile<Element, rows, 1>(a, a_row, a_column, b + j, b_row, c + j, c_row, depth, add);
  }
}

template <typename Element, int rows>
inline void last_rows(std::int64_t left, const Element* a, std::int64_t a_row,
                      std::int64_t a_column, const Element* b, std::int64_t b_row, Sum<Element>* c,
                      std::int64_t c_row, std::int64_t columns, std::int64_t depth, bool add) {
  if constexpr (rows > 0) {
    if (left == rows) {
      strip<Element, rows>(a, a_row, a_column, b, b_row, c, c_row, columns, depth, add);
    } else {
      last_rows<Element, rows - 1>(left, a, a_row, a_column, b, b_row, c, c_row, columns, depth,
                                   add);
    }
  }
}

// columns: a multiple of the lanes; b and c are padded to it.
template <typename Element>
void product(std::int64_t rows, std::int64_t columns, std::int64_t depth, const Element* a,
             std::int64_t a_row, std::int64_t a_column, const Element* b, std::int64_t b_row,
             Sum<Element>* c, std::int64_t c_row, bool add) {
  constexpr int kTile = TASKNEURON_TILE_ROWS;
  std::int64_t r = 0;
  for (; r + kTile <= rows; r += kTile) {
    strip<Element, kTile>(a + r * a_row, a_row, a_column, b, b_row, c + r * c_row, c_row, columns,
                          depth, add);
  }
  last_rows<Element, kTile - 1>(rows - r, a + r * a_row, a_row, a_column, b, b_row, c + r * c_row,
                                c_row, columns, depth, add);
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

// Of operands: pairs stay together. rows, width: multiples of 16; both matrices have space up to
// there.
template <typename Element>
void transpose(const Element* source, std::int64_t rows, std::int64_t width,
               std::int64_t source_row, Element* target, std::int64_t target_row) {
  constexpr std::int64_t kBlock = 16;
  for (std::int64_t r = 0; r < rows; r += kBlock) {
    for (std::int64_t i = 0; i < width; i += kBlock) {
      const Element* from = source + r * source_row + i;
      Element* to = target + i * target_row + r;
      if constexpr (kSquares && sizeof(Element) == sizeof(float)) {
        transpose_square(reinterpret_cast<const float*>(from), source_row,
                         reinterpret_cast<float*>(to), target_row);
      } else {
        for (std::int64_t c = 0; c < kBlock; ++c) {
          for (std::int64_t k = 0; k < kBlock; ++k)
            to[c * target_row + k] = from[k * source_row + c];
        }
      }
    }
  }
}

}  // namespace
}  // namespace taskneuron::kernels

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

// One register of the processor. Sums of a tile stay in registers: the compiler would move the
// wider vectors of lanes.h through memory at every step.
#if defined(__AVX512F__)
constexpr std::int64_t kRegisterBytes = 64;
#elif defined(__AVX__)
constexpr std::int64_t kRegisterBytes = 32;
#else
constexpr std::int64_t kRegisterBytes = 16;
#endif
typedef float FloatRegister __attribute__((vector_size(kRegisterBytes)));
typedef double DoubleRegister __attribute__((vector_size(kRegisterBytes)));
template <typename A>
using Register = std::conditional_t<std::is_same_v<A, float>, FloatRegister, DoubleRegister>;
template <typename A>
constexpr std::int64_t kRegister = kRegisterBytes / static_cast<std::int64_t>(sizeof(A));

template <typename A>
inline Register<A> load_register(const A* p) {
  Register<A> v;
  std::memcpy(&v, p, sizeof(v));
  return v;
}
template <typename A>
inline void store_register(A* p, Register<A> v) {
  std::memcpy(p, &v, sizeof(v));
}

template <typename A>
inline Register<A> load_operands(const A* p) {
  return load_register(p);
}
inline void multiply_add(FloatRegister& sum, float left, FloatRegister right) {
  sum += left * right;
}
inline void multiply_add(DoubleRegister& sum, double left, DoubleRegister right) {
  sum += left * right;
}
#ifdef __AVX512BF16__
inline __m512bh load_operands(const Pair* p) { return (__m512bh)_mm512_loadu_si512(p); }
inline void multiply_add(FloatRegister& sum, Pair left, __m512bh right) {
  const __m512i both = _mm512_set1_epi32(static_cast<int>(left.bits));
  sum = (FloatRegister)_mm512_dpbf16_ps((__m512)sum, (__m512bh)both, right);
}
#endif

// A matrix of operands: its element (r, k) lies at data[r · row + k · column].
template <typename Element>
struct OperandView {
  const Element* data = nullptr;
  std::int64_t row = 0;
  std::int64_t column = 1;
};

// C = A B, or C += A B: A [rows, depth], B [depth, columns], C [rows, columns], where depth counts
// operands. columns: a multiple of the lanes, to which B and C are padded. B's column is 1.
template <typename Element>
struct SmallProduct {
  std::int64_t rows, columns, depth;
  OperandView<Element> a, b;
  Sum<Element>* c = nullptr;
  std::int64_t c_row = 0;
  bool add = false;
};

// Of a product, `rows` rows from row `r` and `registers` vectors from column `j`: a tile whose sums
// stay in registers.
template <typename Element, int rows, int registers>
inline void tile(const SmallProduct<Element>& p, std::int64_t r, std::int64_t j) {
  using A = Sum<Element>;
  constexpr std::int64_t kWidth = kRegister<A>;
  const OperandView<Element> left = p.a, right = p.b;
  const std::int64_t depth = p.depth, c_row = p.c_row;
  const Element* a = left.data + r * left.row;
  const Element* b = right.data + j;
  A* c = p.c + r * c_row + j;
  Register<A> sums[rows][registers];
  for (int i = 0; i < rows; ++i) {
    for (int l = 0; l < registers; ++l) {
      sums[i][l] = p.add ? load_register(c + i * c_row + l * kWidth) : Register<A>{};
    }
  }
  for (std::int64_t k = 0; k < depth; ++k) {
    decltype(load_operands(b)) operands[registers];
    for (int l = 0; l < registers; ++l) operands[l] = load_operands(b + k * right.row + l * kWidth);
    for (int i = 0; i < rows; ++i) {
      const Element one = a[i * left.row + k * left.column];
      for (int l = 0; l < registers; ++l) multiply_add(sums[i][l], one, operands[l]);
    }
  }
  for (int i = 0; i < rows; ++i) {
    for (int l = 0; l < registers; ++l) store_register(c + i * c_row + l * kWidth, sums[i][l]);
  }
}

template <typename Element, int rows>
inline void strip(const SmallProduct<Element>& p, std::int64_t r) {
  constexpr int kTile = TASKNEURON_TILE_REGISTERS;
  constexpr std::int64_t kWidth = kRegister<Sum<Element>>;
  std::int64_t j = 0;
  for (; j + kTile * kWidth <= p.columns; j += kTile * kWidth) tile<Element, rows, kTile>(p, r, j);
  if constexpr (kTile > 2) {
    for (; j + 2 * kWidth <= p.columns; j += 2 * kWidth) tile<Element, rows, 2>(p, r, j);
  }
  for (; j < p.columns; j += kWidth) tile<Element, rows, 1>(p, r, j);
}

// The rows from r on, of which there are `rows` or fewer.
template <typename Element, int rows>
inline void last_rows(const SmallProduct<Element>& p, std::int64_t r) {
  if constexpr (rows > 0) {
    if (p.rows - r == rows) {
      strip<Element, rows>(p, r);
    } else {
      last_rows<Element, rows - 1>(p, r);
    }
  }
}

template <typename Element>
void multiply(const SmallProduct<Element>& p) {
  constexpr int kTile = TASKNEURON_TILE_ROWS;
  std::int64_t r = 0;
  for (; r + kTile <= p.rows; r += kTile) strip<Element, kTile>(p, r);
  last_rows<Element, kTile - 1>(p, r);
}

#ifdef __AVX512F__
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

// target [width, rows] = source [rows, width] transposed. Of operands: pairs stay together. rows,
// width: multiples of 16; both matrices have space up to there.
template <typename Element>
void transpose(OperandView<Element> source, std::int64_t rows, std::int64_t width, Element* target,
               std::int64_t target_row) {
  constexpr std::int64_t kBlock = 16;
  for (std::int64_t r = 0; r < rows; r += kBlock) {
    for (std::int64_t i = 0; i < width; i += kBlock) {
      const Element* from = source.data + r * source.row + i;
      Element* to = target + i * target_row + r;
      if constexpr (kSquares && sizeof(Element) == sizeof(float)) {
        transpose_square(reinterpret_cast<const float*>(from), source.row,
                         reinterpret_cast<float*>(to), target_row);
      } else {
        for (std::int64_t c = 0; c < kBlock; ++c) {
          for (std::int64_t k = 0; k < kBlock; ++k)
            to[c * target_row + k] = from[k * source.row + c];
        }
      }
    }
  }
}

}  // namespace
}  // namespace taskneuron::kernels

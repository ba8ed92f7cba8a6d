#pragma once

// Vectors of 64 bytes in the compiler's own vector types: one register with AVX-512, two with AVX2,
// four without. Everything here is internal to loops.cpp, which is compiled for each of them, so
// nothing may have external linkage.

#ifdef __AVX512F__
#include <immintrin.h>
#endif

#include <cmath>
#include <cstdint>
#include <cstring>

#include "model/kernels/table.h"

namespace taskneuron::kernels {
namespace {

typedef float FloatLanes __attribute__((vector_size(64)));
typedef double DoubleLanes __attribute__((vector_size(64)));
typedef std::int32_t IntLanes __attribute__((vector_size(64)));
typedef std::uint32_t WordLanes __attribute__((vector_size(64)));
typedef std::int64_t LongLanes __attribute__((vector_size(64)));
typedef std::uint16_t HalfLanes __attribute__((vector_size(32)));

template <typename A>
struct LanesOf;
template <>
struct LanesOf<float> {
  using Type = FloatLanes;
};
template <>
struct LanesOf<double> {
  using Type = DoubleLanes;
};
template <typename A>
using Lanes = typename LanesOf<A>::Type;
template <typename A>
constexpr std::int64_t kLanes = 64 / static_cast<std::int64_t>(sizeof(A));

// A constant for all lanes, of whichever width.
template <typename V, typename A>
inline V all(A value) {
  return value - V{};
}

inline FloatLanes load(const float* p) {
  FloatLanes v;
  std::memcpy(&v, p, sizeof(v));
  return v;
}
inline DoubleLanes load(const double* p) {
  DoubleLanes v;
  std::memcpy(&v, p, sizeof(v));
  return v;
}
inline FloatLanes load(const Bfloat16* p) {
  HalfLanes halves;
  std::memcpy(&halves, p, sizeof(halves));
  const WordLanes words = __builtin_convertvector(halves, WordLanes) << 16;
  return reinterpret_cast<FloatLanes>(words);
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

inline void store(float* p, FloatLanes v) { std::memcpy(p, &v, sizeof(v)); }
inline void store(double* p, DoubleLanes v) { std::memcpy(p, &v, sizeof(v)); }
// Rounds to nearest, ties to even; a NaN stays one.
inline HalfLanes to_halves(FloatLanes v) {
#ifdef __AVX512BF16__
  return reinterpret_cast<HalfLanes>(_mm512_cvtneps_pbh(reinterpret_cast<__m512>(v)));
#else
  const WordLanes words = reinterpret_cast<WordLanes>(v);
  const WordLanes rounded = (words + 0x7fffu + ((words >> 16) & 1u)) >> 16;
  const WordLanes quiet = (words >> 16) | 0x40u;
  return __builtin_convertvector(v == v ? rounded : quiet, HalfLanes);
#endif
}
inline void store(Bfloat16* p, FloatLanes v) {
  const HalfLanes halves = to_halves(v);
  std::memcpy(p, &halves, sizeof(halves));
}

// The first `count` lanes; the others are zero.
template <typename T>
inline Lanes<Accumulator<T>> load_part(const T* p, std::int64_t count) {
  T copy[kLanes<Accumulator<T>>] = {};
  std::memcpy(copy, p, static_cast<std::size_t>(count) * sizeof(T));
  return load(copy);
}
template <typename T>
inline void store_part(T* p, Lanes<Accumulator<T>> v, std::int64_t count) {
  T copy[kLanes<Accumulator<T>>];
  store(copy, v);
  std::memcpy(p, copy, static_cast<std::size_t>(count) * sizeof(T));
}

// v as it would be read back after being stored as T.
template <typename T>
inline Lanes<Accumulator<T>> rounded(Lanes<Accumulator<T>> v) {
  return v;
}
template <>
inline FloatLanes rounded<Bfloat16>(FloatLanes v) {
  Bfloat16 copy[kLanes<float>];
  store(copy, v);
  return load(copy);
}

// A row of `width` values, whole lanes first: body(offset, load, store) where load and store take
// pointers to the row's start.
struct WholeLanes {
  template <typename T>
  static Lanes<Accumulator<T>> get(const T* p, std::int64_t) {
    return load(p);
  }
  template <typename T>
  static void put(T* p, Lanes<Accumulator<T>> v, std::int64_t) {
    store(p, v);
  }
};
struct SomeLanes {
  template <typename T>
  static Lanes<Accumulator<T>> get(const T* p, std::int64_t count) {
    return load_part(p, count);
  }
  template <typename T>
  static void put(T* p, Lanes<Accumulator<T>> v, std::int64_t count) {
    store_part(p, v, count);
  }
};
template <typename A, typename Body>
inline void for_lanes(std::int64_t width, const Body& body) {
  std::int64_t i = 0;
  for (; i + kLanes<A> <= width; i += kLanes<A>) body(WholeLanes{}, i, kLanes<A>);
  if (i < width) body(SomeLanes{}, i, width - i);
}

// combine over all lanes: the halves, then the halves of what is left.
template <typename Combine>
inline float reduce(FloatLanes v, const Combine& combine) {
  v = combine(v,
              __builtin_shuffle(v, IntLanes{8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7}));
  v = combine(v,
              __builtin_shuffle(v, IntLanes{4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11}));
  v = combine(v,
              __builtin_shuffle(v, IntLanes{2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13}));
  v = combine(v,
              __builtin_shuffle(v, IntLanes{1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14}));
  return v[0];
}
template <typename Combine>
inline double reduce(DoubleLanes v, const Combine& combine) {
  v = combine(v, __builtin_shuffle(v, LongLanes{4, 5, 6, 7, 0, 1, 2, 3}));
  v = combine(v, __builtin_shuffle(v, LongLanes{2, 3, 0, 1, 6, 7, 4, 5}));
  v = combine(v, __builtin_shuffle(v, LongLanes{1, 0, 3, 2, 5, 4, 7, 6}));
  return v[0];
}

template <typename A>
inline A sum_of(Lanes<A> v) {
  return reduce(v, [](auto a, auto b) { return a + b; });
}
template <typename A>
inline A max_of(Lanes<A> v) {
  return reduce(v, [](auto a, auto b) { return a > b ? a : b; });
}

// exp for |r| up to half of ln 2.
inline FloatLanes exponential_near_zero(FloatLanes r) {
  FloatLanes p = all<FloatLanes>(1.9875691500e-4f);
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  return p * r * r + r + 1.0f;
}

// exp, within 2 units in the last place; 0 below -87.3 and the exponential of 88.3 above it.
// Argument reduction and polynomial of Cephes' expf.
inline FloatLanes exponential(FloatLanes x) {
  const FloatLanes low = all<FloatLanes>(-87.3f), high = all<FloatLanes>(88.3f);
#ifdef __AVX512F__
  // Scaling by a power of two underflows by itself; the second operand of min is what a NaN leaves.
  const __m512 clamped = _mm512_min_ps((__m512)high, (__m512)x);
  const __m512 whole =
      _mm512_roundscale_ps(_mm512_mul_ps(clamped, _mm512_set1_ps(1.44269504088896341f)),
                           _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  const FloatLanes turns = (FloatLanes)whole;
  const FloatLanes r = ((FloatLanes)clamped - turns * 0.693359375f) + turns * 2.12194440e-4f;
  const __m512 result = _mm512_scalef_ps((__m512)exponential_near_zero(r), whole);
  return x < low ? FloatLanes{} : (FloatLanes)result;
#else
  const FloatLanes clamped = x > high ? high : (x < low ? low : x);
  const FloatLanes turns = clamped * 1.44269504088896341f;
  const IntLanes n = __builtin_convertvector(
      turns + (turns < 0 ? all<FloatLanes>(-0.5f) : all<FloatLanes>(0.5f)), IntLanes);
  const FloatLanes whole = __builtin_convertvector(n, FloatLanes);
  const FloatLanes r = (clamped - whole * 0.693359375f) + whole * 2.12194440e-4f;
  const IntLanes power = (n + 127) << 23;
  const FloatLanes result = exponential_near_zero(r) * reinterpret_cast<FloatLanes>(power);
  return x < low ? FloatLanes{} : (x == x ? result : x);
#endif
}
inline DoubleLanes exponential(DoubleLanes x) {
  for (std::int64_t i = 0; i < kLanes<double>; ++i) x[i] = std::exp(x[i]);
  return x;
}

// erf, within a few units of 1e-7: the rational approximation on [-4, 4] that XLA uses.
inline FloatLanes error_function(FloatLanes v) {
  const FloatLanes limit = all<FloatLanes>(4.0f);
  const FloatLanes x = v > limit ? limit : (v < -limit ? -limit : v);
  const FloatLanes square = x * x;
  FloatLanes top = all<FloatLanes>(-2.72614225801306e-10f);
  top = top * square + 2.77068142495902e-08f;
  top = top * square + -2.10102402082508e-06f;
  top = top * square + -5.69250639462346e-05f;
  top = top * square + -7.34990630326855e-04f;
  top = top * square + -2.95459980854025e-03f;
  top = top * square + -1.60960333262415e-02f;
  FloatLanes bottom = all<FloatLanes>(-1.45660718464996e-05f);
  bottom = bottom * square + -2.13374055278905e-04f;
  bottom = bottom * square + -1.68282697438203e-03f;
  bottom = bottom * square + -7.37332916720468e-03f;
  bottom = bottom * square + -1.42647390514189e-02f;
  return x * top / bottom;
}
inline DoubleLanes error_function(DoubleLanes x) {
  for (std::int64_t i = 0; i < kLanes<double>; ++i) x[i] = std::erf(x[i]);
  return x;
}

}  // namespace
}  // namespace taskneuron::kernels

#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <type_traits>
#include <vector>

#include "model/kernels/table.h"
#include "model/naive_kernels.h"

// Loops of table.h beside their formulas written out (naive_kernels.h), in every type and
// instruction set that this machine has.
namespace taskneuron::test {

using kernels::Accumulator;
using kernels::Bfloat16;
using naive::Matrix;
using naive::Row;

template <typename T>
T from_double(double value) {
  if constexpr (std::is_same_v<T, Bfloat16>) {
    const auto single = static_cast<float>(value);
    std::uint32_t bits;
    std::memcpy(&bits, &single, sizeof(bits));
    return {static_cast<std::uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16)};
  } else {
    return static_cast<T>(value);
  }
}

template <typename T>
double to_double(T value) {
  if constexpr (std::is_same_v<T, Bfloat16>) {
    const std::uint32_t bits = static_cast<std::uint32_t>(value.bits) << 16;
    float single;
    std::memcpy(&single, &bits, sizeof(single));
    return single;
  } else {
    return static_cast<double>(value);
  }
}

// Relative error that the type allows: of T for what is stored as T.
template <typename T>
constexpr double kTolerance = std::is_same_v<T, double>  ? 1e-12
                              : std::is_same_v<T, float> ? 5e-6
                                                         : 1e-2;

// ‖a − b‖ / ‖b‖ against the tolerance; fails on NaN.
template <typename Value>
void expect_close(const std::vector<Value>& found, const Row& expected, double tolerance,
                  const char* what) {
  ASSERT_EQ(found.size(), expected.size()) << what;
  double difference = 0, size = 0;
  for (std::size_t i = 0; i < found.size(); ++i) {
    difference += std::pow(to_double(found[i]) - expected[i], 2);
    size += expected[i] * expected[i];
  }
  EXPECT_TRUE(std::sqrt(difference) <= tolerance * std::sqrt(size))
      << what << ": relative error " << std::sqrt(difference / size);
}

inline Row flat(const Matrix& matrix) {
  Row all;
  for (const Row& row : matrix) all.insert(all.end(), row.begin(), row.end());
  return all;
}

// Values of a type, and the same ones as the oracle reads them.
template <typename T>
class Values {
 public:
  Row row(std::size_t width) {
    Row values(width);
    for (double& value : values) value = to_double(from_double<T>(normal_(engine_)));
    return values;
  }
  Matrix matrix(std::size_t rows, std::size_t width) {
    Matrix values;
    for (std::size_t r = 0; r < rows; ++r) values.push_back(row(width));
    return values;
  }
  static std::vector<T> typed(const Row& values) {
    std::vector<T> result;
    for (const double value : values) result.push_back(from_double<T>(value));
    return result;
  }
  static std::vector<T> typed(const Matrix& values) { return typed(flat(values)); }

 private:
  std::mt19937 engine_{7};
  std::normal_distribution<double> normal_;
};

class LoopTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (!kernels::use_instruction_set(GetParam())) GTEST_SKIP() << "not on this processor";
  }
  void TearDown() override {
    for (const char* best : {"generic", "avx2", "avx512", "avx512bf16"}) {
      kernels::use_instruction_set(best);
    }
  }
  template <typename Check>
  static void in_every_type(const Check& check) {
    check(float{});
    check(double{});
    check(Bfloat16{});
  }
};

inline auto instruction_sets() {
  return ::testing::Values("generic", "avx2", "avx512", "avx512bf16");
}

}  // namespace taskneuron::test

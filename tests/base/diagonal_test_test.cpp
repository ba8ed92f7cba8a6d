#include "taskneuron/base/diagonal_test.h"

#include "support/support.h"

namespace taskneuron {
namespace {

std::vector<std::vector<double>> diagonal(std::size_t n) {
  std::vector<std::vector<double>> matrix(n, std::vector<double>(n, 0));
  for (std::size_t i = 0; i < n; ++i) matrix[i][i] = 1 + static_cast<double>(i);
  return matrix;
}

std::vector<std::string> one_type(std::size_t n) { return std::vector<std::string>(n, "x"); }

TEST(DiagonalTest, TriesAllOrdersOfFewRows) {
  const DiagonalTest test = diagonal_test(diagonal(4), one_type(4), 1);
  EXPECT_TRUE(test.exact);
  EXPECT_EQ(test.orders, 24);
  ASSERT_TRUE(test.p.has_value());
  EXPECT_NEAR(*test.p, 1.0 / 24, 1e-12);
  EXPECT_NEAR(test.smallest_p, 1.0 / 24, 1e-12);
  // A column (1, 0, 0, 0) has mean 1/4 and deviation 1/2: its diagonal is 3/2, the rest -1/2.
  EXPECT_NEAR(test.statistic, 2.0, 1e-12);
}

TEST(DiagonalTest, DrawsOrdersOfManyRows) {
  const DiagonalTest test = diagonal_test(diagonal(12), one_type(12), 1);
  EXPECT_FALSE(test.exact);
  EXPECT_EQ(test.orders, kDraws);
  EXPECT_LE(test.p.value(), 2.0 / (kDraws + 1));
  EXPECT_NEAR(test.smallest_p, 1.0 / (kDraws + 1), 1e-12);
}

TEST(DiagonalTest, SeesNothingWhereThereIsNothing) {
  // A row that harms every task alike, and columns of another scale, are no diagonal.
  const std::vector<std::vector<double>> same(3, {0.1, 0.1, 0.1});
  EXPECT_EQ(diagonal_test(same, one_type(3), 1).p, 1);
  EXPECT_EQ(diagonal_test({{9, 90, 900}, {1, 10, 100}, {1, 10, 100}}, one_type(3), 1).p, 1);
}

// Units of a type harm all tasks of their type alike: over all orders that is a diagonal.
TEST(DiagonalTest, TypeBlocksAreNoDiagonal) {
  std::vector<std::vector<double>> blocks(6, std::vector<double>(6));
  std::vector<std::string> types;
  for (std::size_t i = 0; i < 6; ++i) {
    types.push_back(i < 3 ? "classification" : "generation");
    for (std::size_t j = 0; j < 6; ++j) blocks[i][j] = (i < 3) == (j < 3) ? 1 : 0;
  }
  EXPECT_LE(diagonal_test(blocks, one_type(6), 1).p.value(), 0.051);
  const DiagonalTest within = diagonal_test(blocks, types, 1);
  EXPECT_EQ(within.p, 1);
  EXPECT_EQ(within.orders, 36);
  EXPECT_TRUE(within.exact);
  blocks[1][1] += 1;  // something of its own
  EXPECT_NEAR(diagonal_test(blocks, types, 1).p.value(), 1.0 / 3, 1e-12);
}

TEST(DiagonalTest, GivesNoPThatCannotBeBelowAHalf) {
  const DiagonalTest two = diagonal_test({{1, 0}, {0, 1}}, one_type(2), 1);
  EXPECT_FALSE(two.p.has_value());
  EXPECT_EQ(two.orders, 2);
  EXPECT_EQ(two.smallest_p, 0.5);
  EXPECT_EQ(diagonal_test({{1, 0}, {0, 1}}, {"a", "b"}, 1).orders, 1);
  EXPECT_FALSE(diagonal_test({{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}, {"a", "b", "b"}, 1).p.has_value());
}

}  // namespace
}  // namespace taskneuron

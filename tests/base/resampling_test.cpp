#include "taskneuron/base/resampling.h"

#include <cmath>

#include "support/support.h"
#include "taskneuron/base/random.h"
#include "taskneuron/base/statistics.h"

namespace taskneuron {
namespace {

std::vector<double> noise(std::size_t count, double center, const std::string& stream) {
  Random random(3, stream);
  std::vector<double> values;
  for (std::size_t i = 0; i < count; ++i) values.push_back(center + random.uniform() - 0.5);
  return values;
}

TEST(PairedBootstrap, MatchesTheNormalInterval) {
  const std::vector<double> values = noise(200, 0.1, "values");
  const BootstrapResult result = paired_bootstrap({values}, 1);
  const double center = mean(values), error = standard_error(values);
  EXPECT_NEAR(result.difference, center, 1e-12);
  EXPECT_NEAR(result.low, center - 1.96 * error, 0.1 * error);
  EXPECT_NEAR(result.high, center + 1.96 * error, 0.1 * error);
  const double normal = std::erfc(std::abs(center) / error / std::sqrt(2.0));
  EXPECT_NEAR(result.p, normal, 0.3 * normal + 2e-4);
}

TEST(PairedBootstrap, TasksCountAlikeWhateverTheirSize) {
  const std::vector<double> few(5, 1.0), many(500, 0.0);
  const BootstrapResult result = paired_bootstrap({few, many}, 1);
  EXPECT_EQ(result.difference, 0.5);
  EXPECT_EQ(result.low, 0.5);
  EXPECT_EQ(result.high, 0.5);
  EXPECT_NEAR(result.p, 2.0 / (kResamples + 1), 1e-12);  // what so many resamples can show
}

TEST(PairedBootstrap, NoDifferenceIsNoEvidence) {
  EXPECT_EQ(paired_bootstrap({{0, 0, 0}}, 1).p, 1);
  EXPECT_GT(paired_bootstrap({{1, -1, 1, -1, 1, -1}}, 1).p, 0.8);
}

std::vector<std::vector<double>> diagonal(std::size_t n) {
  std::vector<std::vector<double>> matrix(n, std::vector<double>(n, 0));
  for (std::size_t i = 0; i < n; ++i) matrix[i][i] = 1 + static_cast<double>(i);
  return matrix;
}

TEST(DiagonalTest, TriesAllOrdersOfFewRows) {
  const DiagonalTest test = diagonal_test(diagonal(4), 1);
  EXPECT_TRUE(test.exact);
  EXPECT_EQ(test.orders, 24);
  EXPECT_NEAR(test.p, 1.0 / 24, 1e-12);
  // A column (1, 0, 0, 0) has mean 1/4 and deviation 1/2: its diagonal is 3/2, the rest -1/2.
  EXPECT_NEAR(test.statistic, 2.0, 1e-12);
}

TEST(DiagonalTest, DrawsOrdersOfManyRows) {
  const DiagonalTest test = diagonal_test(diagonal(12), 1);
  EXPECT_FALSE(test.exact);
  EXPECT_EQ(test.orders, kResamples);
  EXPECT_LE(test.p, 2.0 / (kResamples + 1));
}

TEST(DiagonalTest, SeesNothingWhereThereIsNothing) {
  // A row that harms every task alike, and columns of another scale, are no diagonal.
  EXPECT_EQ(diagonal_test({{1, 1, 1}, {1, 1, 1}, {1, 1, 1}}, 1).p, 1);
  EXPECT_EQ(diagonal_test({{9, 90, 900}, {1, 10, 100}, {1, 10, 100}}, 1).p, 1);
}

}  // namespace
}  // namespace taskneuron

#include "base/check.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <vector>

namespace taskneuron {
namespace {

template <typename Action>
std::string message_of(const Action& action) {
  try {
    action();
  } catch (const std::logic_error& error) {
    return error.what();
  }
  return "";
}

TEST(Check, NamesTheConditionItsPlaceAndBothValues) {
  const std::vector<int> rows(3);
  const std::int64_t tokens = 4;
  const std::string message = message_of([&] { TN_CHECK_EQ(rows.size(), tokens); });
  EXPECT_NE(message.find("check_test.cpp:"), std::string::npos) << message;
  EXPECT_NE(message.find("rows.size() == tokens (3 == 4) does not hold"), std::string::npos)
      << message;
}

TEST(Check, EveryComparisonHoldsAndFails) {
  EXPECT_EQ(message_of([] {
              TN_CHECK_EQ(2, 2);
              TN_CHECK_NE(2, 3);
              TN_CHECK_LT(2, 3);
              TN_CHECK_LE(2, 2);
              TN_CHECK_GT(3, 2);
              TN_CHECK_GE(2, 2);
            }),
            "");
  EXPECT_NE(message_of([] { TN_CHECK_NE(2, 2); }).find("(2 != 2)"), std::string::npos);
  EXPECT_NE(message_of([] { TN_CHECK_LT(2, 2); }).find("(2 < 2)"), std::string::npos);
  EXPECT_NE(message_of([] { TN_CHECK_LE(3, 2); }).find("(3 <= 2)"), std::string::npos);
  EXPECT_NE(message_of([] { TN_CHECK_GT(2, 2); }).find("(2 > 2)"), std::string::npos);
  EXPECT_NE(message_of([] { TN_CHECK_GE(1, 2); }).find("(1 >= 2)"), std::string::npos);
}

TEST(Check, ComparesIntegersByValueAndFailsOnNaN) {
  EXPECT_EQ(message_of([] { TN_CHECK_LT(std::int64_t{-1}, std::size_t{0}); }), "");
  EXPECT_NE(message_of([] { TN_CHECK_LE(std::nan(""), 1.0); }).find("nan <= 1"), std::string::npos);
}

TEST(Check, EvaluatesEachSideOnce) {
  int calls = 0;
  TN_CHECK_EQ(++calls, 1);
  EXPECT_EQ(calls, 1);
}

enum class Colour { kRed, kBlue };
struct Unprintable {
  bool operator==(const Unprintable&) const { return false; }
};

TEST(Check, PrintsWhatHasNoOperatorAsWellAsItCan) {
  EXPECT_NE(message_of([] { TN_CHECK_EQ(Colour::kRed, Colour::kBlue); }).find("(0 == 1)"),
            std::string::npos);
  EXPECT_NE(message_of([] { TN_CHECK_EQ(true, false); }).find("(true == false)"),
            std::string::npos);
  EXPECT_NE(message_of([] { TN_CHECK_EQ(Unprintable(), Unprintable()); }).find("cannot be printed"),
            std::string::npos);
}

}  // namespace
}  // namespace taskneuron

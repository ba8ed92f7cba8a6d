#pragma once

#include <functional>
#include <sstream>
#include <string>
#include <type_traits>
#include <utility>

#include "taskneuron/base/error.h"

// TN_CHECK for comparisons: the message holds both sides.
namespace taskneuron::check {

template <typename Value>
void print(std::ostringstream& stream, const Value& value) {
  if constexpr (std::is_same_v<Value, bool>) {
    stream << (value ? "true" : "false");
  } else if constexpr (requires { stream << value; }) {
    stream << value;
  } else if constexpr (std::is_enum_v<Value>) {
    stream << +static_cast<std::underlying_type_t<Value>>(value);
  } else {
    stream << "(a value that cannot be printed)";
  }
}

template <typename Value>
constexpr bool kInteger = std::is_integral_v<Value> && !std::is_same_v<Value, bool>;

// Integers compare by value, whatever their signs and widths.
#define TN_COMPARISON(name, comparison, by_value)             \
  struct name {                                               \
    static constexpr const char* kSymbol = #comparison;       \
    template <typename Left, typename Right>                  \
    static bool holds(const Left& left, const Right& right) { \
      if constexpr (kInteger<Left> && kInteger<Right>) {      \
        return by_value(left, right);                         \
      } else {                                                \
        return left comparison right;                         \
      }                                                       \
    }                                                         \
  };
TN_COMPARISON(Equal, ==, std::cmp_equal)
TN_COMPARISON(NotEqual, !=, std::cmp_not_equal)
TN_COMPARISON(Less, <, std::cmp_less)
TN_COMPARISON(LessEqual, <=, std::cmp_less_equal)
TN_COMPARISON(Greater, >, std::cmp_greater)
TN_COMPARISON(GreaterEqual, >=, std::cmp_greater_equal)
#undef TN_COMPARISON

struct Place {
  const char* condition;
  const char* file;
  int line;
};

template <typename Comparison, typename Left, typename Right>
void compare(const Left& left, const Right& right, const Place& place) {
  if (Comparison::holds(left, right)) return;
  std::ostringstream text;
  text << place.condition << " (";
  print(text, left);
  text << " " << Comparison::kSymbol << " ";
  print(text, right);
  text << ")";
  check_failed(text.str().c_str(), place.file, place.line);
}

}  // namespace taskneuron::check

#define TN_CHECK_COMPARISON(kind, left, symbol, right)     \
  ::taskneuron::check::compare<::taskneuron::check::kind>( \
      (left), (right), {#left " " #symbol " " #right, __FILE__, __LINE__})
#define TN_CHECK_EQ(left, right) TN_CHECK_COMPARISON(Equal, left, ==, right)
#define TN_CHECK_NE(left, right) TN_CHECK_COMPARISON(NotEqual, left, !=, right)
#define TN_CHECK_LT(left, right) TN_CHECK_COMPARISON(Less, left, <, right)
#define TN_CHECK_LE(left, right) TN_CHECK_COMPARISON(LessEqual, left, <=, right)
#define TN_CHECK_GT(left, right) TN_CHECK_COMPARISON(Greater, left, >, right)
#define TN_CHECK_GE(left, right) TN_CHECK_COMPARISON(GreaterEqual, left, >=, right)

#pragma once

#include <stdexcept>
#include <string>

namespace taskneuron {

// Something outside the program is wrong: a file, a flag, data. The message is one line that says
// what, where (path:line or tensor), what was found, what was expected and what to do.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// The command line itself is wrong (exit code 2 instead of 1).
class UsageError : public Error {
 public:
  using Error::Error;
};

// A loss or an activation is not finite. Whoever holds the checkpoint may name the tensor to blame.
class NonFiniteError : public Error {
 public:
  using Error::Error;
};

// Ends the program's current operation because of a bug in it; never reachable from user input.
[[noreturn]] void check_failed(const char* condition, const char* file, int line);

}  // namespace taskneuron

// Holds in every build type. For conditions that only a bug can break.
#define TN_CHECK(condition) \
  ((condition) ? void(0) : ::taskneuron::check_failed(#condition, __FILE__, __LINE__))

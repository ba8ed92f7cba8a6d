#pragma once

#include <stdexcept>
#include <string>

namespace taskneuron {

// Something outside the program is wrong: a file, an option, data. The message is one line that
// says what, where (path:line or tensor), what was found, what was expected and what to do. Options
// stand in it between backticks, by the name that they are declared with (`batch_tokens`): whoever
// shows the message writes them as its users do (--batch-tokens).
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// What was asked for is wrong by itself, whatever the files hold (exit code 2 instead of 1).
class UsageError : public Error {
 public:
  // Of options that do not go together.
  using Error::Error;
  // Of one option: "`scope` 'all' is unknown; use global or layer". wrong: what is said of `found`.
  UsageError(const std::string& option, const std::string& found, const std::string& allowed,
             const std::string& wrong = "is unknown");

  // Empty where the message is of several options.
  const std::string& option() const { return option_; }
  const std::string& found() const { return found_; }
  const std::string& allowed() const { return allowed_; }

 private:
  std::string option_;
  std::string found_;
  std::string allowed_;
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

#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace taskneuron {

enum class Verbosity { kQuiet, kNormal };

// Says whether progress and remarks may be written to standard error; set once by main.
void set_verbosity(Verbosity verbosity);

// One remark on standard error ("note: ..."), unless quiet.
void note(const std::string& message);
// One warning on standard error ("warning: ..."), always.
void warn(const std::string& message);

// A bar on standard error with tokens per second and the time left. Drawn only on a terminal and
// only once two seconds have passed; never when quiet. Removed when done.
class Progress {
 public:
  // total: steps (of any kind) that will be reported.
  Progress(std::string title, std::int64_t total);
  // Of work whose steps are reported as shares of the whole.
  explicit Progress(std::string title);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // Reports `steps` more steps done, which processed `tokens` tokens.
  void advance(std::int64_t steps, std::int64_t tokens = 0);
  // The same for shares, which add up to 1.
  void advance_share(double share, std::int64_t tokens);

 private:
  void draw();

  std::string title_;
  std::int64_t total_;
  std::int64_t done_ = 0;
  double shares_ = 0;
  std::int64_t tokens_ = 0;
  bool enabled_;
  bool drawn_ = false;
  std::chrono::steady_clock::time_point start_;
  std::chrono::steady_clock::time_point last_draw_;
};

}  // namespace taskneuron

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

// Work that lasts, on standard error: share done, tokens per second and the time left. On a
// terminal a bar, drawn once two seconds have passed and removed when done; elsewhere a line after
// ten seconds and then every thirty. Nothing when quiet.
class Progress {
 public:
  // total: steps (of any kind) that will be reported.
  Progress(std::string title, std::int64_t total);
  // Of work whose steps are reported as shares of the whole.
  explicit Progress(std::string title);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // Steps that an earlier session of the work has done, in no time.
  void skip(std::int64_t steps);
  // What stands behind the time left from now on, as "loss 0.1234".
  void describe(std::string remark) { remark_ = std::move(remark); }
  // Reports `steps` more steps done, which processed `tokens` tokens.
  void advance(std::int64_t steps, std::int64_t tokens = 0);
  // The same for shares, which add up to 1.
  void advance_share(double share, std::int64_t tokens);

 private:
  // "12% 1043 tokens/s 0:42 left"
  std::string state(double seconds) const;
  double share() const;
  void draw(double seconds);

  std::string title_;
  std::string remark_;
  std::int64_t total_;
  std::int64_t skipped_ = 0;
  std::int64_t done_ = 0;
  double shares_ = 0;
  std::int64_t tokens_ = 0;
  bool enabled_;
  bool terminal_;
  bool drawn_ = false;
  std::chrono::steady_clock::time_point start_;
  std::chrono::steady_clock::time_point next_draw_;
};

// 1:05, or 1:01:05.
std::string clock_time(double seconds);

}  // namespace taskneuron

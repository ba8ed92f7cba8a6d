#include "taskneuron/base/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>

namespace taskneuron {

namespace {

std::atomic<Verbosity> verbosity{Verbosity::kNormal};

constexpr std::chrono::seconds kQuietPeriod{2};
constexpr std::chrono::milliseconds kRedrawPeriod{200};

std::string clock_time(double seconds) {
  const auto total = static_cast<std::int64_t>(seconds + 0.5);
  if (total >= 3600) {
    return fmt::format("{}:{:02}:{:02}", total / 3600, total / 60 % 60, total % 60);
  }
  return fmt::format("{}:{:02}", total / 60, total % 60);
}

}  // namespace

void set_verbosity(Verbosity value) { verbosity = value; }

void note(const std::string& message) {
  if (verbosity != Verbosity::kQuiet) fmt::print(stderr, "note: {}\n", message);
}

void warn(const std::string& message) { fmt::print(stderr, "warning: {}\n", message); }

Progress::Progress(std::string title, std::int64_t total)
    : title_(std::move(title)),
      total_(std::max<std::int64_t>(total, 1)),
      enabled_(verbosity != Verbosity::kQuiet && isatty(STDERR_FILENO) == 1),
      start_(std::chrono::steady_clock::now()),
      last_draw_(start_) {}

namespace {
constexpr double kShares = 1e6;  // a whole in steps
}

Progress::Progress(std::string title)
    : Progress(std::move(title), static_cast<std::int64_t>(kShares)) {}

void Progress::advance_share(double share, std::int64_t tokens) {
  const auto before = static_cast<std::int64_t>(shares_ * kShares);
  shares_ += share;
  advance(static_cast<std::int64_t>(shares_ * kShares) - before, tokens);
}

Progress::~Progress() {
  if (drawn_) fmt::print(stderr, "\r\033[K");
}

void Progress::advance(std::int64_t steps, std::int64_t tokens) {
  done_ += steps;
  tokens_ += tokens;
  if (!enabled_) return;
  const auto now = std::chrono::steady_clock::now();
  if (now - start_ < kQuietPeriod || now - last_draw_ < kRedrawPeriod) return;
  last_draw_ = now;
  draw();
}

void Progress::draw() {
  constexpr int kWidth = 24;
  const std::chrono::duration<double> elapsed = last_draw_ - start_;
  const double share = std::min(1.0, static_cast<double>(done_) / static_cast<double>(total_));
  const int filled = static_cast<int>(share * kWidth);
  const double left = share > 0 ? elapsed.count() * (1 - share) / share : 0;
  std::string line = fmt::format("\r{} [{}{}] {:3.0f}%", title_, std::string(filled, '='),
                                 std::string(kWidth - filled, ' '), 100 * share);
  if (tokens_ > 0) {
    line += fmt::format(" {:.0f} tokens/s", static_cast<double>(tokens_) / elapsed.count());
  }
  line += fmt::format(" {} left\033[K", clock_time(left));
  std::fputs(line.c_str(), stderr);
  std::fflush(stderr);
  drawn_ = true;
}

}  // namespace taskneuron

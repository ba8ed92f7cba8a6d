#include "taskneuron/base/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>

#include "base/plain_name.h"

namespace taskneuron {

namespace {

std::atomic<Verbosity> verbosity{Verbosity::kNormal};

using std::chrono::milliseconds;

// When something is first shown, and then again.
struct Periods {
  milliseconds first;
  milliseconds next;
};
constexpr Periods kOnTerminal{milliseconds(2000), milliseconds(200)};
constexpr Periods kInLog{milliseconds(10000), milliseconds(30000)};

}  // namespace

std::string clock_time(double seconds) {
  const auto total = static_cast<std::int64_t>(seconds + 0.5);
  if (total >= 3600) {
    return fmt::format("{}:{:02}:{:02}", total / 3600, total / 60 % 60, total % 60);
  }
  return fmt::format("{}:{:02}", total / 60, total % 60);
}

void set_verbosity(Verbosity value) { verbosity = value; }

void note(const std::string& message) {
  if (verbosity != Verbosity::kQuiet) fmt::print(stderr, "note: {}\n", shown(message));
}

void warn(const std::string& message) { fmt::print(stderr, "warning: {}\n", shown(message)); }

Progress::Progress(std::string title, std::int64_t total)
    : title_(shown(title)),
      total_(std::max<std::int64_t>(total, 1)),
      enabled_(verbosity != Verbosity::kQuiet),
      terminal_(isatty(STDERR_FILENO) == 1),
      start_(std::chrono::steady_clock::now()),
      next_draw_(start_ + (terminal_ ? kOnTerminal : kInLog).first) {}

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

void Progress::skip(std::int64_t steps) {
  skipped_ += steps;
  done_ += steps;
}

void Progress::advance(std::int64_t steps, std::int64_t tokens) {
  done_ += steps;
  tokens_ += tokens;
  if (!enabled_) return;
  const auto now = std::chrono::steady_clock::now();
  if (now < next_draw_) return;
  next_draw_ = now + (terminal_ ? kOnTerminal : kInLog).next;
  const double seconds = std::chrono::duration<double>(now - start_).count();
  if (terminal_) {
    draw(seconds);
  } else if (done_ < total_) {
    fmt::print(stderr, "{}: {}\n", title_, state(seconds));
  }
}

double Progress::share() const {
  return std::min(1.0, static_cast<double>(done_) / static_cast<double>(total_));
}

std::string Progress::state(double seconds) const {
  std::string text = fmt::format("{:.0f}%", 100 * share());
  if (tokens_ > 0) text += fmt::format(" {:.0f} tokens/s", static_cast<double>(tokens_) / seconds);
  if (done_ > skipped_) {
    const auto left = static_cast<double>(std::max<std::int64_t>(0, total_ - done_));
    text +=
        fmt::format(" {} left", clock_time(seconds * left / static_cast<double>(done_ - skipped_)));
  }
  return text + (remark_.empty() ? "" : ", " + remark_);
}

void Progress::draw(double seconds) {
  constexpr int kWidth = 24;
  const int filled = static_cast<int>(share() * kWidth);
  fmt::print(stderr, "\r{} [{}{}] {}\033[K", title_, std::string(filled, '='),
             std::string(kWidth - filled, ' '), state(seconds));
  std::fflush(stderr);
  drawn_ = true;
}

}  // namespace taskneuron

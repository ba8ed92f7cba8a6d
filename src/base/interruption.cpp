#include "taskneuron/base/interruption.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <thread>
#include <vector>

#include "base/temporaries.h"

namespace taskneuron {

namespace {

// The handler writes the signal's number here and a thread of ours does the rest: what a handler
// itself may call does not include removing a folder. (Blocking signals and waiting for them would
// not do, as BLAS libraries start threads before main that would take them.)
int signal_pipe[2] = {-1, -1};

std::atomic<int> deferring{0};
std::atomic<int> requested_signal{0};

void on_signal(int signal) {
  const int saved = errno;
  const auto number = static_cast<unsigned char>(signal);
  [[maybe_unused]] const ssize_t written = ::write(signal_pipe[1], &number, 1);
  errno = saved;
}

ShownLine shown_line = nullptr;

// Guarded by hold_temporaries(). Never destroyed: the thread that reads it may outlive main.
std::string& told_line() {
  static auto* const the = new std::string;
  return *the;
}

// Past stdio, whose lock a thread that waits for a full pipe may hold; what cannot be written at
// once is left out.
void write_line(const std::string& line) {
  pollfd target{STDERR_FILENO, POLLOUT, 0};
  if (::poll(&target, 1, 0) != 1 || target.revents != POLLOUT) return;
  const std::string bar_removed = ::isatty(STDERR_FILENO) == 1 ? "\r\033[K" : "";
  const std::string text = bar_removed + line + "\n";
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
}

// What is complete and how to go on. REQUIRES hold_temporaries().
std::string default_line() {
  constexpr std::size_t kNamed = 8;
  const auto complete = complete_paths();
  if (complete.empty()) return "interrupted: no file was written; run the command again";
  std::string names;
  for (std::size_t i = 0; i < complete.size() && i < kNamed; ++i) {
    names += (i > 0 ? ", " : "") + complete[i].string();
  }
  if (complete.size() > kNamed) names += fmt::format(" and {} more", complete.size() - kNamed);
  return fmt::format("interrupted: {} {} complete; run the command again for what is missing",
                     names, complete.size() == 1 ? "is" : "are");
}

// line: "" for the one that was told, or the default.
[[noreturn]] void end_by(int signal, const std::string& line) {
  // Held to the end: nobody makes a temporary file any more.
  const auto lock = hold_temporaries();
  remove_temporaries();
  const std::string& known = line.empty() ? told_line() : line;
  write_line(known.empty() ? default_line() : shown_line == nullptr ? known : shown_line(known));
  struct sigaction fallback {};
  fallback.sa_handler = SIG_DFL;
  ::sigaction(signal, &fallback, nullptr);
  ::kill(::getpid(), signal);
  ::_exit(128 + signal);
}

void watch() {
  for (;;) {
    unsigned char number = 0;
    const ssize_t got = ::read(signal_pipe[0], &number, 1);
    if (got < 0 && errno == EINTR) continue;
    if (got != 1) return;
    if (deferring == 0 || requested_signal != 0) end_by(number, "");
    // Told before it is asked for, or the line of who ends at once could come first.
    write_line("will end after this step; a second signal ends at once");
    requested_signal = number;
  }
}

}  // namespace

void clean_up_on_signals(ShownLine shown) {
  shown_line = shown;
  if (::pipe2(signal_pipe, O_CLOEXEC) != 0) return;
  std::thread(watch).detach();
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction before {};
    if (::sigaction(signal, nullptr, &before) != 0 || before.sa_handler == SIG_IGN) continue;
    struct sigaction action {};
    action.sa_handler = on_signal;
    action.sa_flags = SA_RESTART;
    ::sigaction(signal, &action, nullptr);
  }
}

DeferredSignals::DeferredSignals() {
  if (deferring++ == 0) requested_signal = 0;
}
DeferredSignals::~DeferredSignals() { --deferring; }
bool DeferredSignals::requested() { return requested_signal != 0; }

LineWhenInterrupted::LineWhenInterrupted(const std::string& line) {
  const auto lock = hold_temporaries();
  counts_ = told_line().empty();
  if (counts_) told_line() = line;
}

LineWhenInterrupted::~LineWhenInterrupted() {
  const auto lock = hold_temporaries();
  if (counts_) told_line().clear();
}

void end_at_once(const std::string& line) {
  const auto lock = hold_temporaries();
  remove_temporaries();
  if (!line.empty()) write_line(shown_line == nullptr ? line : shown_line(line));
  ::_exit(1);
}

void end_by_deferred_signal(const std::string& line) {
  end_by(requested_signal != 0 ? requested_signal.load() : SIGTERM, line);
}

}  // namespace taskneuron

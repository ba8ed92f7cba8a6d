#include "taskneuron/base/interruption.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <thread>

#include "base/temporaries.h"
#include "taskneuron/base/progress.h"

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

[[noreturn]] void end_by(int signal) {
  // Held to the end: nobody makes a temporary file any more.
  const auto lock = hold_temporaries();
  remove_temporaries();
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
    if (deferring == 0 || requested_signal != 0) end_by(number);
    requested_signal = number;
    note("will end after this step; once more ends at once");
  }
}

}  // namespace

void clean_up_on_signals() {
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

DeferredSignals::DeferredSignals() { ++deferring; }
DeferredSignals::~DeferredSignals() { --deferring; }
bool DeferredSignals::requested() const { return requested_signal != 0; }

void end_by_deferred_signal() { end_by(requested_signal != 0 ? requested_signal.load() : SIGTERM); }

}  // namespace taskneuron

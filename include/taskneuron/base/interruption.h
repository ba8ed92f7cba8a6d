#pragma once

#include "taskneuron/base/error.h"

namespace taskneuron {

// Work was ended early because it was asked to; the message says how to go on.
class Interrupted : public Error {
 public:
  using Error::Error;
};

// From here on SIGINT, SIGTERM and SIGHUP (where they are not ignored) remove every temporary file
// and folder of this program before they end it. Call once, at the start of main.
void clean_up_on_signals();

// While one lives, the first such signal only sets a flag, for work that can end tidily by itself;
// the second ends the program at once.
class DeferredSignals {
 public:
  DeferredSignals();
  ~DeferredSignals();
  DeferredSignals(const DeferredSignals&) = delete;
  DeferredSignals& operator=(const DeferredSignals&) = delete;

  bool requested() const;
};

// Removes temporaries and ends the program as the signal that was deferred would have.
[[noreturn]] void end_by_deferred_signal();

}  // namespace taskneuron

#pragma once

#include <string>

#include "taskneuron/base/error.h"

namespace taskneuron {

// Work was ended early because it was asked to; the message says how to go on.
//
// Cancelling. Every progress callback of this library may throw, and this is the type for it. The
// function that called it then ends with the very exception: steps that other threads have begun
// are ended first, nothing half-written is left, and what the function was given (Decoder,
// Checkpoint, TaskEvaluation, ...) is as before and can be used again. What it had found is lost,
// but for run_training, which writes a checkpoint first. Callbacks are called one at a time, on any
// thread.
class Interrupted : public Error {
 public:
  using Error::Error;
};

// From here on SIGINT, SIGTERM and SIGHUP (where they are not ignored) end this program tidily:
// every temporary file and folder is removed, one line on standard error says what is complete and
// how to go on, and the program dies of the signal (a shell shows 130, 143 or 129). Call once, at
// the start of main. shown: makes of a line that names options (base/error.h) what is printed.
//
// The first signal does so at once, from a thread of its own, whatever the program is at. A command
// whose work would be lost anyway gains nothing from being asked to stop: it would end later, by as
// long as its longest step, and only where somebody thought of asking. What it can lose is guarded
// where it is written (base/temporaries.h). Work that can go on later is different: training needs
// to end at a step, with a checkpoint, and so holds a DeferredSignals and cancels itself.
using ShownLine = std::string (*)(const std::string& line);
void clean_up_on_signals(ShownLine shown = nullptr);

// While it lives, the line that the program prints when a signal ends it, in place of its own; for
// work that knows better how to go on. The outermost counts: who began the rest goes on with it.
class LineWhenInterrupted {
 public:
  explicit LineWhenInterrupted(const std::string& line);
  ~LineWhenInterrupted();
  LineWhenInterrupted(const LineWhenInterrupted&) = delete;
  LineWhenInterrupted& operator=(const LineWhenInterrupted&) = delete;

 private:
  bool counts_ = false;
};

// While one lives, the first such signal only sets a flag, for work that can end tidily by itself;
// the second ends the program at once.
class DeferredSignals {
 public:
  DeferredSignals();
  ~DeferredSignals();
  DeferredSignals(const DeferredSignals&) = delete;
  DeferredSignals& operator=(const DeferredSignals&) = delete;

  static bool requested();
};

// Ends the program from any thread with exit code 1, saying `line` if there is one, and leaves
// nothing half-written behind.
[[noreturn]] void end_at_once(const std::string& line);

// Ends the program as the signal that was deferred would have, saying `line`.
[[noreturn]] void end_by_deferred_signal(const std::string& line);

}  // namespace taskneuron

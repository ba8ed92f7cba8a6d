#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "taskneuron/base/options.h"

namespace taskneuron {

// The model as a stage of `continual` left it, rebuilt from the base and what the stages up to it
// changed (docs/formats/continual.md).
struct RollbackOptions {
  std::string model;
  std::string stage;
  std::string out;
  void declare(OptionList& list);
};

struct RollbackResult {
  std::vector<std::string> tasks;   // of the stages, the first one first
  std::vector<std::string> stages;  // their folders
  std::int64_t tensors = 0;         // that differ from the base's
  // Of the floating point tensors where the base's own does not hold the stage's values exactly;
  // empty: they are as the base stores them.
  std::string dtype;
  std::string hash;  // of what was written
};

// Throws Error for a folder that holds no finished stage, a stage before it that is missing, and a
// base that is not theirs.
RollbackResult rollback(const RollbackOptions& options);

}  // namespace taskneuron

#pragma once

#include <string>
#include <vector>

#include "taskneuron/neuron/scores.h"
#include "taskneuron/recipe/outputs.h"

namespace taskneuron {

// Score files of one task added up, as if detected in one run.
struct MergeOptions {
  std::vector<std::string> scores;
  OutputOptions output;
  void declare(OptionList& list);
};

// What was written. Throws Error for a file that is there twice under whatever name.
Scores merge(const MergeOptions& options);

}  // namespace taskneuron

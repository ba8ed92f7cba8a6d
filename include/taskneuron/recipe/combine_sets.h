#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "taskneuron/neuron/neuron_set.h"
#include "taskneuron/recipe/outputs.h"

namespace taskneuron {

enum class SetOperation { kUnion, kIntersection, kDifference, kAtLeast };

// "union", "intersection", "difference" or "at-least".
const char* set_operation_name(SetOperation operation);

// A set made of sets (taskneuron/neuron/set_algebra.h), as a set file.
struct CombineSetsOptions {
  SetOperation operation = SetOperation::kUnion;
  std::int64_t m = 0;  // of kAtLeast
  std::vector<std::string> sets;
  bool allow_other_weights = false;
  OutputOptions output;
  void declare(OptionList& list);
  // Throws what is known to be wrong before a file is read.
  void check() const;
};

// What was written; its `from` names the operation and the files with their hashes, and the task
// only if all sets are of one. Warns of a set that is empty.
NeuronSet combine_sets(const CombineSetsOptions& options);

}  // namespace taskneuron

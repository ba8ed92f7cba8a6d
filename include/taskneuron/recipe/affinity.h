#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "taskneuron/analysis/affinity.h"
#include "taskneuron/neuron/comparison.h"
#include "taskneuron/recipe/outputs.h"
#include "taskneuron/recipe/session.h"

namespace taskneuron {

// What the base model says of every pair of tasks before anything is trained: what `forecast`
// reads (docs/formats/affinity.md).
struct AffinityOptions {
  DataOptions data;
  std::vector<std::string> scores;
  std::string top = "10%";
  std::string scope = "global";
  bool allow_other_weights = false;
  AffinityOptions() { data.split = "train"; }
  void declare(OptionList& list);
  // Throws what is known to be wrong before a model is opened.
  void check() const;
};

struct AffinityTask {
  std::string task;
  std::string type;         // classification or generation
  std::int64_t labels = 0;  // of a classification task
  std::int64_t examples = 0;
  double loss = 0;
  std::int64_t units = 0;
  std::string scores;
};

// Of training on `source` for `target`.
struct AffinityPair {
  std::string source, target;
  SetComparison overlap;
  SignedAgreement relevance;
  GradientCosine gradient;
  GradientCosine own_gradient;  // over the parameters of the source's own units
};

struct AffinityResult {
  std::vector<AffinityTask> tasks;
  std::vector<AffinityPair> pairs;  // every source with every other target
  std::int64_t layers_at_a_time = 0;
  std::int64_t peak_memory_bytes = 0;
};

AffinityResult affinity(const Session& session, const AffinityOptions& options);

}  // namespace taskneuron

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "taskneuron/base/options.h"
#include "taskneuron/neuron/comparison.h"
#include "taskneuron/neuron/shared_core.h"

namespace taskneuron {

// How alike the units of tasks are: sets, unions of sets, or score files (method, "Question 2").
struct CompareOptions {
  std::vector<std::string> files;
  std::string top = "10%";
  std::string scope = "global";
  std::uint64_t seed = 0;
  void declare(OptionList& list);
  // Throws what is known to be wrong before a file is read.
  void check() const;
};

struct ComparedPair {
  std::string a, b;  // as they were named
  SetComparison overlap;
  std::optional<ScoreComparison> relevance;      // of score files
  std::optional<IndependentChance> independent;  // where one is a union
  // Corrected over all pairs (Benjamini-Hochberg).
  double p_adjusted = 1;
  std::optional<double> independent_p_adjusted;
};

struct CompareResult {
  std::vector<ComparedPair> pairs;
  std::optional<JointOverlap> together;  // of three and more
};

CompareResult compare(const CompareOptions& options);

}  // namespace taskneuron

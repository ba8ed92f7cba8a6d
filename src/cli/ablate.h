#pragma once

#include <map>
#include <string>
#include <vector>

#include "cli/command.h"
#include "taskneuron/analysis/deactivation.h"

namespace taskneuron::cli {

// Perplexity of unrelated text with the units of one task off.
struct SideEffect {
  std::string task;
  double own = 0;
  std::map<RandomKind, std::vector<double>> random;  // by seed
};

// What `ablate` found, as it is printed.
struct AblateReport {
  std::vector<Condition> conditions;
  std::vector<DeactivatedTask> tasks;
  std::uint64_t first_seed = 0;
  double text_perplexity = 0;  // of the model as it is
  std::int64_t text_tokens = 0;
  std::vector<std::vector<SideEffect>> side_effects;  // by condition; empty without a text

  void print() const;
  // {"results", "averages", "cross_matrices", "perplexity", "agreement"}
  OutputJson json() const;
};

}  // namespace taskneuron::cli

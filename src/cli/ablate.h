#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/file.h"
#include "cli/command.h"
#include "cli/warnings.h"
#include "taskneuron/analysis/deactivation.h"
#include "taskneuron/neuron/scores.h"

namespace taskneuron::cli {

// Perplexity of unrelated text with the units of one task off.
struct SideEffect {
  std::string task;
  double own = 0;
  std::map<RandomKind, std::vector<double>> random;  // by draw
};

// What `ablate` found, as it is printed.
struct AblateReport {
  std::vector<Condition> conditions;
  std::vector<DeactivatedTask> tasks;
  std::uint64_t seed = 0;
  double text_perplexity = 0;  // of the model as it is
  std::int64_t text_tokens = 0;
  std::vector<std::vector<SideEffect>> side_effects;  // by condition; empty without a text
  std::vector<Warning> warnings;

  void print() const;
  // {"results", "averages", "cross_matrices", "perplexity", "agreement", "warnings"}
  OutputJson json() const;
};

// What of this run does not fit the scores that the sets come from, or cannot show what is asked.
std::vector<Warning> ablate_warnings(const AblateReport& report, const std::vector<Scores>& scores,
                                     const RunHashes& hashes);

// Pairs of conditions (activation, parameter) that are one function.
std::vector<std::pair<std::size_t, std::size_t>> agreeing(const std::vector<Condition>& conditions);

// FOLDER/TASK.jsonl: every example of a task under every set (docs/formats/results.md).
class AblatePredictions {
 public:
  // folder/TASK.jsonl; existing: as AtomicFile.
  AblatePredictions(const std::string& folder, const std::string& task, Existing existing);
  void write(const EvaluatedRow& row, const TaskResult& result);
  void commit() { file_.commit(); }

 private:
  AtomicFile file_;
};

}  // namespace taskneuron::cli

#pragma once

#include <string>
#include <vector>

#include "base/file.h"
#include "taskneuron/neuron/scores.h"
#include "taskneuron/recipe/ablate.h"

namespace taskneuron {

// What of this run does not fit the scores that the sets come from, or cannot show what is asked.
std::vector<Warning> ablate_warnings(const AblateResult& found,
                                     const std::vector<ScoreInfo>& origins);

// FOLDER/TASK.jsonl: every example of a task under every set (docs/formats/results.md).
class AblatePredictions {
 public:
  AblatePredictions(const std::string& folder, const std::string& task, Existing existing);
  void write(const EvaluatedRow& row, const TaskResult& result);
  void commit() { file_.commit(); }

 private:
  AtomicFile file_;
};

}  // namespace taskneuron

#pragma once

#include <string>
#include <vector>

#include "taskneuron/analysis/deactivation.h"
#include "taskneuron/data/task.h"

namespace taskneuron {

// One task's rows of a file of predictions that evaluate wrote.
struct PredictedTask {
  std::string task;
  bool ranked = false;
  Metric metric;
  // Files of earlier versions do not name it: accuracy where labels are ranked, else score.
  bool metric_named = true;
  std::vector<std::int64_t> rows;  // their numbers in the split
  Measurement measured;
};

// Every task of the file, in its order. Throws Error naming file and line for what is no such file,
// and for a row that is there twice (evaluations with several sets are told apart by no key here).
std::vector<PredictedTask> read_predictions(const std::string& path);

// Throws Error unless the rows are those of one evaluation of the task's first `rows` rows, in
// their order and scored as the task is: of files in a work folder, which nobody is asked about.
void require_evaluation_of(const PredictedTask& found, const Task& task, std::int64_t rows,
                           const std::string& path);

}  // namespace taskneuron

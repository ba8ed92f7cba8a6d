#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "taskneuron/analysis/deactivation.h"

namespace taskneuron {

// Own against random sets from evaluations that were made one by one: models in which a task's own
// units were trained, and others in which as many random ones were, each from one or more seeds.

// One task's evaluations.
struct SetTestTask {
  std::string task;
  Metric metric;
  std::vector<Measurement> own;                  // by training seed
  std::vector<std::vector<Measurement>> random;  // by set, then seed; empty: none to compare with
  std::optional<Measurement> original;           // the model that all were trained from
};

struct SetTestRow {
  std::string task;  // empty: the mean over tasks
  Metric metric;
  std::int64_t tasks = 1;
  std::optional<double> original, original_loss;
  std::vector<double> random, random_loss;  // by set, means over seeds
  double own = 0, own_loss = 0;
  std::optional<MeasureContrasts> own_minus_random;
  std::optional<MeasureContrasts> own_minus_original;
};

struct SetTest {
  std::vector<SetTestRow> tasks;
  std::vector<SetTestRow> averages;  // one for each metric of two tasks or more
};

// The contrasts of every task and of their means, each measure corrected over tasks. Throws Error
// unless tasks have an own evaluation, as many seeds of it as of every random set, and the same
// examples in all.
SetTest test_sets(const std::vector<SetTestTask>& tasks, std::uint64_t seed);

// A task that models trained on others are evaluated on.
struct MatrixTask {
  std::string type;  // rows are permuted within one
  Metric metric;
  Measurement original;
};

// Entry (i, j): change of task j in model i from the original. models[i] is of task i and holds
// every task, in the order of `tasks`. Tests the gain of the metric and the fall of the loss.
CrossMatrix training_matrix(const std::vector<std::vector<Measurement>>& models,
                            const std::vector<MatrixTask>& tasks, std::uint64_t seed);

}  // namespace taskneuron

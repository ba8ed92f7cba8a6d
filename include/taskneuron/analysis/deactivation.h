#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "taskneuron/base/diagonal_test.h"
#include "taskneuron/base/inference.h"
#include "taskneuron/evaluate/evaluation.h"
#include "taskneuron/evaluate/label_metrics.h"
#include "taskneuron/evaluate/variant.h"
#include "taskneuron/neuron/selection.h"

namespace taskneuron {

// Question 1 of the method: what a task loses when its own units are off, beside what it loses when
// as many random ones are, and when another task's are.

// The set of one task and the random sets that it is compared with, by kind and draw.
struct TaskSets {
  std::string task;
  NeuronSet own;
  std::map<RandomKind, std::vector<NeuronSet>> random;
};

// One dose and one way of switching off. Borrows the sets.
struct Condition {
  std::string top;  // as the user wrote it
  std::string scope;
  std::string mode_name;
  Mode mode;
  const std::vector<TaskSets>* sets = nullptr;
};

// One evaluation of a task, with what tests need of its examples.
struct Measurement {
  double value = 0;
  double standard_error = 0;
  double loss = 0;
  std::vector<double> scores;  // by example
  std::vector<double> losses;
  std::optional<LabelMetrics> labels;  // where labels are ranked
};
Measurement measured(const TaskResult& result);

// The same difference in each measure.
struct MeasureContrasts {
  Contrast value;
  Contrast loss;
  std::optional<Contrast> label_loss;  // where labels are ranked
};

struct RandomRows {
  std::vector<Measurement> by_draw;
  MeasureContrasts own_minus_random;
};

struct ConditionRows {
  // By set: this task under every task's units off. Only its own where others were not asked for.
  std::vector<std::optional<Measurement>> off;
  std::map<RandomKind, RandomRows> random;
  MeasureContrasts own_minus_original;
};

struct DeactivatedTask {
  std::string task;
  std::string split;
  std::string type;  // classification or generation
  Metric metric;
  std::int64_t examples = 0;
  std::int64_t truncated = 0;
  Measurement original;
  std::size_t own = 0;  // the set of this task
  std::vector<ConditionRows> conditions;

  const Measurement& own_off(std::size_t condition) const {
    return *conditions[condition].off[own];
  }
};

enum class OtherTasks { kLeaveOut, kSwitchOff };

// How many evaluations deactivate() makes of one task.
std::int64_t deactivation_runs(const std::vector<Condition>& conditions, const std::string& task,
                               OtherTasks others);

// Which evaluation of a task: the model as it is, or one condition with a set's units off.
struct EvaluatedRow {
  const Condition* condition = nullptr;  // none: as it is
  std::string units_of;                  // the task that the set is of
  std::optional<RandomKind> random;      // a random set instead of the task's own
  std::int64_t draw = 0;
};

struct DeactivationOptions {
  OtherTasks others = OtherTasks::kSwitchOff;
  std::uint64_t seed = 0;  // of the randomisation
  References references;   // as far as the conditions' modes need them
  BatchLimits limits;
  EvaluationProgress progress;  // as it is told there, may throw
  // Called with every evaluation when it is done; may be left out, may throw as progress may.
  std::function<void(const EvaluatedRow&, const TaskResult&)> evaluated;
  // Called in place of every evaluation; gives what evaluate() gives, or gave before. May be left
  // out.
  std::function<TaskResult(const EvaluatedRow&, const std::function<TaskResult()>& evaluate)> once;
};

// What is claimed of a task under its own units' change, beside another: with them off it does
// worse, trained better.
enum class Expected { kWorse, kBetter };
// The same of the difference in a measure.
Claim claim_of(Expected expected, Better better);

// Evaluates a task as the model is and under every condition. All conditions name the same tasks in
// the same order. Throws Error if there is no set of this task.
DeactivatedTask deactivate(const Decoder& decoder, const TaskEvaluation& evaluation,
                           const std::string& task, const std::vector<Condition>& conditions,
                           const DeactivationOptions& options);

// Corrects the contrasts of all tasks: those of one condition, kind of random set and measure are a
// family. Call once all tasks are there.
void adjust_families(std::vector<DeactivatedTask>& tasks);

// The mean over all tasks that share a metric. Its contrasts are corrected with those of the same
// condition and measure: against random sets over metrics and kinds, against the original over
// metrics.
struct AverageRows {
  struct Random {
    double value = 0, value_deviation = 0;  // mean and standard deviation over draws
    double loss = 0, loss_deviation = 0;
    MeasureContrasts own_minus_random;
  };
  Metric metric;
  std::int64_t tasks = 0;
  double original = 0, original_loss = 0;
  double own = 0, own_loss = 0;
  MeasureContrasts own_minus_original;
  std::map<RandomKind, Random> random;
};
std::vector<AverageRows> average_rows(const std::vector<DeactivatedTask>& tasks,
                                      std::size_t condition, std::uint64_t seed);

// Entry (i, j): change of task j when the units of task i are off, both in the order of `tasks`.
struct CrossMatrix {
  std::vector<std::vector<double>> value;  // off − original
  std::vector<std::vector<double>> loss;
  DiagonalTest value_test;  // of the drop (original − off), rows permuted within task type
  DiagonalTest loss_test;   // of the rise
};
// Nothing for fewer than two tasks or where others' units were left out.
std::optional<CrossMatrix> cross_matrix(const std::vector<DeactivatedTask>& tasks,
                                        const std::vector<TaskSets>& sets, std::size_t condition,
                                        std::uint64_t seed);

// How far two conditions (activation and parameter, which are one function) lie apart on own sets.
struct Agreement {
  double largest_loss_difference = 0;  // of any example, nats
  std::int64_t different_scores = 0;   // examples
  std::int64_t examples = 0;
};
Agreement agreement(const std::vector<DeactivatedTask>& tasks, std::size_t a, std::size_t b);

}  // namespace taskneuron

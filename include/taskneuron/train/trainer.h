#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "taskneuron/data/batch_memory.h"
#include "taskneuron/data/examples.h"
#include "taskneuron/model/trainable.h"
#include "taskneuron/train/adamw.h"
#include "taskneuron/train/schedule.h"

namespace taskneuron {

struct TrainTask {
  std::string name;
  std::vector<AnswerExample> examples;
  // What this task's steps update; without it, everything that is trained.
  std::optional<TrainableOptions> units;
};

struct TrainerOptions {
  Schedule schedule;  // its `steps` is how many there are
  AdamWOptions adamw;
  SamplingOptions sampling;
  double clip = 0;              // largest gradient norm; 0: any
  std::int64_t accumulate = 1;  // forward passes per step, at least
  BatchLimits limits;           // of a forward pass
  bool recompute = false;       // less memory, a third more time
  bool share_prefix = true;     // a task's common instruction runs once per forward pass
};

struct StepResult {
  double loss = 0;  // mean over the step's examples of the example loss, before the update
  double learning_rate = 0;
  double gradient_norm = 0;  // before clipping
  std::int64_t tokens = 0;   // of the step's examples, shared ones counted in each
};

// Minimises the mean example loss (method, "Example loss") with AdamW. Everything that a step does
// follows from the options and the number of the step.
class Trainer {
 public:
  // model must outlive this. Tasks with `units` need sampling.one_task_per_step.
  Trainer(TrainableModel& model, std::vector<TrainTask> tasks, const TrainerOptions& options);

  std::int64_t steps() const { return static_cast<std::int64_t>(plan_.size()); }
  std::int64_t steps_per_epoch() const { return steps_per_epoch_; }
  // Step `number`, from 1. Throws NonFiniteError, with nothing updated, when the loss, the gradient
  // or the updated weights are not finite; the message names the step and its rows.
  StepResult step(std::int64_t number);
  // Whether the present weights gave a finite loss when the last step ran them.
  bool weights_gave_finite_loss() const { return finite_loss_; }

  AdamW& optimizer() { return optimizer_; }
  // What a step will put through the model, for fit_batches().
  BatchDemand demand() const;
  void set_limits(const BatchMemory& memory);

 private:
  // Groups of one forward pass, and the step's share of each example in the loss.
  std::vector<std::vector<PrefixGroup>> passes(const std::vector<ExampleRef>& refs) const;
  double backward(const std::vector<PrefixGroup>& groups, double weight);
  void activate(std::int64_t task);
  std::string describe(std::int64_t number) const;

  TrainableModel& model_;
  std::vector<TrainTask> tasks_;
  TrainerOptions options_;
  AdamW optimizer_;
  std::int64_t steps_per_epoch_ = 0;
  std::vector<std::vector<ExampleRef>> plan_;
  std::vector<std::int64_t> prefixes_;                   // shared tokens of each task
  std::vector<std::vector<at::Tensor>> task_positions_;  // of each task with units
  std::int64_t active_task_ = -1;
  bool finite_loss_ = false;
};

}  // namespace taskneuron

#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "taskneuron/data/batch_memory.h"
#include "taskneuron/model/trainable.h"
#include "taskneuron/train/adamw.h"
#include "taskneuron/train/example_loss.h"
#include "taskneuron/train/schedule.h"
#include "taskneuron/train/step_term.h"
#include "taskneuron/train/train_task.h"

namespace taskneuron {

struct TrainerOptions {
  Schedule schedule;  // its `steps` is how many there are
  AdamWOptions adamw;
  SamplingOptions sampling;
  double clip = 0;               // largest gradient norm; 0: any
  std::int64_t accumulate = 1;   // forward passes per step, at least
  BatchLimits limits;            // of a forward pass
  bool recompute = false;        // less memory, a third more time
  bool share_prefix = true;      // a task's common instruction runs once per forward pass
  std::vector<StepTerm*> terms;  // in the order that they join a step
  NeuronHook* hook = nullptr;    // that the model trains under (a mask); null: none
};

struct StepResult {
  double loss = 0;  // mean over the step's examples of the example loss, before the update
  double learning_rate = 0;
  std::optional<double> penalty;  // what terms added to the loss, beside `loss`; only with terms
  double gradient_norm = 0;       // of loss and terms, before clipping
  std::int64_t tokens = 0;        // of the step's examples, shared ones counted in each
};

// Minimises the mean example loss (method, "Example loss") with AdamW. Everything that a step does
// follows from the options and the number of the step.
class Trainer {
 public:
  // model, terms and hook must outlive this. Tasks with `units` need sampling.one_task_per_step.
  Trainer(TrainableModel& model, std::vector<TrainTask> tasks, const TrainerOptions& options);

  std::int64_t steps() const { return static_cast<std::int64_t>(plan_.size()); }
  std::int64_t steps_per_epoch() const { return steps_per_epoch_; }
  // Step `number`, from 1. Throws NonFiniteError, with nothing updated, when the loss, the gradient
  // or the updated weights are not finite; the message names the step and its rows.
  StepResult step(std::int64_t number);
  // Tells the terms that their tasks have ended: the weights are final. (Step 1 tells them that
  // their tasks begin.)
  void finish();
  // Whether the present weights gave a finite loss when the last step ran them.
  bool weights_gave_finite_loss() const { return finite_loss_; }

  AdamW& optimizer() { return optimizer_; }
  const std::vector<StepTerm*>& terms() const { return options_.terms; }
  const TrainableModel& model() const { return model_; }
  NeuronHook& hook() const { return loss_.hook(); }
  // What a step will put through the model, for fit_batches().
  BatchDemand demand() const;
  void set_limits(const BatchMemory& memory);

 private:
  void tell_terms(void (StepTerm::*event)(const TaskView&));
  std::vector<PrefixGroup> groups_of(const std::vector<ExampleRef>& refs) const;
  // Forms the gradient of the loss, then the terms'. `what` names what is not finite, should it not
  // be.
  void add_loss(const std::vector<PrefixGroup>& examples, double weight, StepResult& result);
  void add_terms(const StepView& view, StepResult& result, std::string& what);
  void activate(std::int64_t task);
  std::string describe(std::int64_t number) const;

  TrainableModel& model_;
  std::vector<TrainTask> tasks_;
  TrainerOptions options_;
  std::unique_ptr<NeuronHook> no_hook_ = std::make_unique<NeuronHook>();
  ExampleLoss loss_;
  AdamW optimizer_;
  std::int64_t steps_per_epoch_ = 0;
  std::vector<std::vector<ExampleRef>> plan_;
  std::vector<std::int64_t> prefixes_;                   // shared tokens of each task
  std::vector<std::vector<at::Tensor>> task_positions_;  // of each task with units
  std::int64_t active_task_ = -1;
  bool finite_loss_ = false;
};

}  // namespace taskneuron

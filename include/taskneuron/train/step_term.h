#pragma once

#include <map>
#include <string>
#include <vector>

#include "taskneuron/checkpoint/safetensors.h"
#include "taskneuron/train/example_loss.h"
#include "taskneuron/train/schedule.h"
#include "taskneuron/train/train_task.h"

namespace taskneuron {

// What a term is shown when its tasks begin and end: a Trainer's tasks, which are one of the tasks
// of a sequence, or several that are trained together. Gradients are zero, every unit is active;
// gradients may be used (loss.backward) and are cleared afterwards.
struct TaskView {
  TrainableModel& model;
  const ExampleLoss& loss;
  const std::vector<TrainTask>& tasks;
};

// What a term is shown of a step, between the backward passes and the norm.
struct StepView {
  TrainableModel& model;  // its parameters' gradients are what the step will use
  const ExampleLoss& loss;
  std::int64_t step = 0;                     // from 1
  const std::vector<PrefixGroup>& examples;  // that this process ran, by task
  double weight = 0;                         // of each in the step's loss
};

// What a process has of a step.
struct StepSums {
  double loss = 0;  // Σ weight · example loss; NaN where a pass gave no finite loss
  std::int64_t tokens = 0;
};

using TermState = std::map<std::string, at::Tensor>;

// Something that joins training steps: a penalty, a projection of gradients, a sum over processes.
// A Trainer asks its terms in their order, each of these functions of all terms before the next
// function; state belongs to the term and outlives trainers, so that one term can see a sequence of
// tasks. A step's gradients are in float32 (float64 in a float64 model), in Parameter::gradient,
// shaped as its master; what a term leaves at units that are not active is dropped.
class StepTerm {
 public:
  virtual ~StepTerm() = default;

  // Names its state in checkpoints: unique among a trainer's terms, without '/'.
  virtual std::string name() const = 0;

  // Before a run's first step; not when it is resumed.
  virtual void task_begins(const TaskView&) {}
  // When the weights are final, those of the best step where training stopped early.
  virtual void task_ends(const TaskView&) {}

  // Which of a step's examples this process runs. Their weights stay those of the whole step.
  virtual std::vector<ExampleRef> share(std::vector<ExampleRef> examples) const { return examples; }
  // After the backward passes: adds up over processes what each has, sums and gradients. Called
  // where the loss is not finite too, so that no process waits for one that has given up.
  virtual void reduce(StepSums&, TrainableModel&) {}
  // Adds its gradient to that of the step's loss, or changes what is there; returns what it adds to
  // the loss. The loss is finite; a gradient or penalty that is not fails the step.
  virtual double add(const StepView& step) = 0;

  // Whether it changes what is trained for, so that a run that had it must have it when it goes on.
  virtual bool lasts() const { return true; }
  // What a checkpoint must hold to go on as if never stopped.
  virtual NamedTensors state() const { return {}; }
  // Takes up what state() gave, in memory of its own, before any other function of a resumed run.
  // Throws Error, naming the tensor, for what does not fit the model.
  virtual void restore(const TermState&, const TrainableModel&) {}
};

}  // namespace taskneuron

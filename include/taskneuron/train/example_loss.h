#pragma once

#include <vector>

#include "taskneuron/data/batch_memory.h"
#include "taskneuron/data/batching.h"
#include "taskneuron/model/trainable.h"

namespace taskneuron {

struct PassOptions {
  BatchLimits limits;           // of a forward pass
  std::int64_t accumulate = 1;  // forward passes that examples are cut into, at least
  bool recompute = false;       // less memory, a third more time
};

// The example loss (method, "Example loss") of a model that trains, with its gradient, in as few
// passes as the limits allow.
class ExampleLoss {
 public:
  // model and hook must outlive this; the model runs under the hook.
  ExampleLoss(const TrainableModel& model, NeuronHook& hook, const PassOptions& options);

  // Σ weight · example loss, float64, and adds its gradient to those of the model's parameters.
  // Throws NonFiniteError where the loss is not finite; what gradients hold then means nothing.
  double backward(const std::vector<PrefixGroup>& examples, double weight) const;
  // The same examples as batches, one per pass, for those who form another loss of them. Targets
  // weigh so that the batches' losses add up to Σ weight · example loss.
  std::vector<Batch> batches(const std::vector<PrefixGroup>& examples, double weight) const;

  NeuronHook& hook() const { return hook_; }
  void set_limits(const BatchMemory& memory);

 private:
  std::vector<std::vector<PrefixGroup>> passes(const std::vector<PrefixGroup>& examples) const;
  double backward_of(const Batch& batch) const;

  const TrainableModel& model_;
  NeuronHook& hook_;
  PassOptions options_;
};

}  // namespace taskneuron

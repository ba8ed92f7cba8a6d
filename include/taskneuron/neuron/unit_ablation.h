#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <vector>

#include "taskneuron/model/decoder.h"
#include "taskneuron/neuron/neuron_set.h"

namespace taskneuron {

// What a batch loses when single units are off: the exact answer that relevance approximates.
struct LossChanges {
  at::Tensor nll;     // float32 [targets], nothing off
  at::Tensor change;  // float64 [examples, units]: example loss with the unit off − without
  // The same with the unit off at one position alone: Σ over the example's positions of the size of
  // the change, float64 [examples, units]. Undefined unless asked for.
  at::Tensor position_changes;
};

enum class OffAt {
  kEveryPosition,
  kEachPositionToo,  // and, one by one, at each alone
};

struct UnitOffOptions {
  OffAt off_at = OffAt::kEveryPosition;
  NeuronHook* under = nullptr;  // that both models run under; null: as they are
  std::function<void()> after_unit = [] {};
};

// One pass per unit over the layers from the unit's on; kEachPositionToo: one more for each
// position of the longest example. REQUIRES units in ascending order of layers and a batch of one
// segment per example that uses no cache. after_unit is called after each, and may throw to end the
// work (base/interruption.h, "Cancelling").
LossChanges unit_loss_changes(const Decoder& decoder, const Batch& batch,
                              const std::vector<SiteUnit>& units, const UnitOffOptions& options);

// Mean answer loss of each example of a batch, float64 [examples], from its targets' nll.
at::Tensor example_losses(const Batch& batch, const at::Tensor& nll);

}  // namespace taskneuron

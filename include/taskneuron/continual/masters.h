#pragma once

#include "taskneuron/model/trainable.h"
#include "taskneuron/train/step_term.h"

namespace taskneuron {

// What is trained of a model, as tensors "master.<parameter>" of its masters.
NamedTensors masters_of(const TrainableModel& model);
// Puts such values back and stores them in the model's weights. Throws Error, naming the parameter,
// for one that is missing or has another shape.
void set_masters(const TrainableModel& model, const TermState& masters);

}  // namespace taskneuron

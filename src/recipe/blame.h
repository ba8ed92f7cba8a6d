#pragma once

#include <functional>

#include "taskneuron/checkpoint/checkpoint.h"

namespace taskneuron {

// Runs work; if it ends in a loss that is not finite, the Error names the first weight tensor of
// the checkpoint that is not finite either, if there is one.
void blame_weights(const Checkpoint& checkpoint, const std::function<void()>& work);

}  // namespace taskneuron

#pragma once

#include <vector>

#include "model/weights.h"

namespace taskneuron {

// Every layer's FFN as the checkpoint holds it, expert by expert (a dense one is one): weights are
// views of the mapped file in its dtype, whatever that is; nothing is converted or packed. Throws
// Error as load_weights does.
std::vector<std::vector<FeedForwardWeights>> stored_feed_forward(const Checkpoint& checkpoint);

// A part's weights as [units of the layer, what each owns]; with several experts a copy. Empty
// where the model has no such part.
at::Tensor part_weights(const std::vector<FeedForwardWeights>& experts, OwnedPart part);

}  // namespace taskneuron

#pragma once

#include <vector>

#include "model/weights.h"

namespace taskneuron {

// Every layer's FFN as the checkpoint holds it: weights are views of the mapped file in its dtype,
// whatever that is; nothing is converted or packed. Throws Error as load_weights does.
std::vector<FeedForwardWeights> stored_feed_forward(const Checkpoint& checkpoint);

// A part's weights as [units, what each owns]. Empty where the model has no such part.
at::Tensor part_weights(const FeedForwardWeights& weights, OwnedPart part);

}  // namespace taskneuron

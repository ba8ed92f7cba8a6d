#pragma once

#include <vector>

#include "model/weights.h"

namespace taskneuron {

// Copies of adapters, in the compute dtype, put before whatever is trained of the matrices that
// they belong to: they act and pass gradients through, and get none. Returns the copies. Throws
// Error for one that fits none of the matrices.
std::vector<AdapterPtr> add_frozen_adapters(DecoderWeights& weights,
                                            const std::vector<AdapterPtr>& adapters,
                                            at::ScalarType dtype);

}  // namespace taskneuron

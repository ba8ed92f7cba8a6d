#pragma once

#include <functional>

#include "taskneuron/model/decoder.h"

namespace taskneuron {

// Runs a batch forward and backward, showing the hook's taps what they would see in
// target_loss(features(batch)).backward(), in the memory of one layer and every layer's input: each
// layer runs forward a second time when its backward pass comes, which costs half as much again.
// check is called with the targets' nll before the backward pass. The cache may be read, not
// appended to.
void recomputed_backward(const Decoder& decoder, const Batch& batch, NeuronHook& hook,
                         KeyValueCache* cache, const std::function<void(const at::Tensor&)>& check);

}  // namespace taskneuron

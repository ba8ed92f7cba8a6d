#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "taskneuron/train/example_loss.h"
#include "taskneuron/train/unit_values.h"

namespace taskneuron {

// The diagonal of the empirical Fisher information, at every trained weight: the mean over examples
// of (∂ log p(answer | prompt) / ∂w)², the log-likelihood summed over the answer's tokens. One
// backward pass for each example, without shared prefixes; sums are float64, results in the
// masters' type. The model's gradients are cleared, before and afterwards; units that are not
// active get 0.
//
// loss: of this model. progress: called after each example, with one example and its tokens. Throws
// NonFiniteError naming the example (counted from 1) or the tensor.
UnitValues diagonal_fisher(
    TrainableModel& model, const ExampleLoss& loss, const std::vector<PrefixGroup>& examples,
    const std::function<void(std::int64_t examples, std::int64_t tokens)>& progress);

}  // namespace taskneuron

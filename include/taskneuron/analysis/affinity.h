#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "taskneuron/data/examples.h"
#include "taskneuron/neuron/neuron_set.h"
#include "taskneuron/neuron/scores.h"
#include "taskneuron/train/example_loss.h"

namespace taskneuron {

// What can be said of pairs of tasks before anything is trained (method, "Forecast"). Everything
// here is at site `act`.

// Whether a task's units push another's loss the same way: of mean signed relevance (mean over
// examples of Σ_t ∂loss/∂ω · ω) over the units that are in either set. Nothing where a score file
// holds no signed sum that is not zero there.
struct SignedAgreement {
  std::optional<double> cosine;
  std::optional<double> correlation;
};
// REQUIRES scores with a signed sum at `act`, of one shape, and sets of that shape.
SignedAgreement signed_agreement(const Scores& a, const NeuronSet& units_a, const Scores& b,
                                 const NeuronSet& units_b);

// A cosine of two gradients, over the model and in each layer; nothing where one of them is zero.
struct GradientCosine {
  std::optional<double> all;
  std::vector<std::optional<double>> layers;
};

struct GradientTask {
  std::string name;
  std::vector<AnswerExample> examples;
  NeuronSet units;  // its own
};

// Of the gradients of two tasks' mean example losses with respect to what the units of `act` own.
// [source][target]; the diagonal compares a task with itself.
struct GradientAgreement {
  std::vector<double> losses;                    // mean example loss of each task
  std::vector<std::vector<GradientCosine>> all;  // all units' parameters
  std::vector<std::vector<GradientCosine>> own;  // those of the source's own units alone
  std::int64_t layers_at_a_time = 0;             // gradients of so many were held
};

struct GradientOptions {
  PassOptions passes;
  // Gradients that may be held, in bytes: all tasks' of some layers at a time. Less takes more
  // passes over the examples.
  std::int64_t gradient_bytes = std::int64_t{1} << 30;
  std::function<void(double share)> progress = {};  // shares add up to 1; may throw
};

// Bytes of the float32 gradients of one layer, of one task.
std::int64_t layer_gradient_bytes(const ModelConfig& config);
// How many layers' gradients fit, of all tasks; at least 1.
std::int64_t layers_at_a_time(const ModelConfig& config, std::size_t tasks, std::int64_t bytes);

// Throws as ExampleLoss::backward does. REQUIRES a task, each with an example.
GradientAgreement gradient_agreement(const Checkpoint& checkpoint, const Decoder& decoder,
                                     const std::vector<GradientTask>& tasks,
                                     const GradientOptions& options);

}  // namespace taskneuron

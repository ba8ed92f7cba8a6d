#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "taskneuron/model/parameter.h"

namespace taskneuron {

struct AdamWOptions {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0;  // decoupled (Loshchilov & Hutter 2019): w −= lr · decay · w
};

// AdamW over the units that are active: moments and updates exist for trained units alone, and each
// unit counts its own steps, so that a unit that sits out a step is left exactly as it was.
class AdamW {
 public:
  // Moments start at zero, in the masters' type.
  AdamW(std::vector<ParameterPtr> parameters, const AdamWOptions& options);

  // Factors of the learning rate (and with it of the decoupled weight decay) for each unit, one
  // tensor [units] for each parameter ([1] for one that is trained whole) or undefined: 1
  // everywhere. None: 1 for all. Not part of a checkpoint: whoever resumes a run sets them again.
  // REQUIRES finite factors >= 0.
  void set_unit_rates(std::vector<at::Tensor> factors);

  // √Σ gradient² over everything that is active, float64.
  double gradient_norm() const;
  // One step with gradients times `factor`; then stores the masters and zeroes the gradients.
  // largest_gradient: no gradient's size is above it. Throws NonFiniteError, with masters, moments
  // and the model's weights as they were, when the step would make a number that is not finite.
  void step(double learning_rate, double factor, double largest_gradient);

  // What a checkpoint must hold beside the masters, per parameter.
  struct State {
    at::Tensor first;    // like master
    at::Tensor second;   // like master
    at::Tensor updates;  // int64 [units], or [1] for a whole tensor
  };
  std::vector<State>& states() { return states_; }
  const std::vector<ParameterPtr>& parameters() const { return parameters_; }
  // Of gradients and moments, the masters not counted.
  std::int64_t bytes() const;

 private:
  // Whether the step could overflow, by a bound on every number: almost never, so that the
  // exact check and the copy that it may have to go back to cost nothing in a run that is well.
  bool may_overflow(double learning_rate, double gradient);
  void update(double learning_rate, double factor);
  bool finite() const;

  std::vector<ParameterPtr> parameters_;
  std::vector<State> states_;
  AdamWOptions options_;
  std::vector<at::Tensor> unit_rates_;  // float64, on the masters' devices; empty: 1 for all
  double largest_rate_ = 1;             // no unit's factor is above it
  double largest_weight_ = -1;          // no master's size is above it; -1: not known yet
};

}  // namespace taskneuron

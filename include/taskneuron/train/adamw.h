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

  // √Σ gradient² over everything that is active, float64.
  double gradient_norm() const;
  // One step with gradients times `factor`; then stores the masters and zeroes the gradients.
  void step(double learning_rate, double factor);

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
  std::vector<ParameterPtr> parameters_;
  std::vector<State> states_;
  AdamWOptions options_;
};

}  // namespace taskneuron

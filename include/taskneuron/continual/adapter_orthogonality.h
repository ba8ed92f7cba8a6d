#pragma once

#include <string>

#include "taskneuron/train/step_term.h"

namespace taskneuron {

enum class AdapterPenalty {
  kAbsolute,  // Σ |A_i A_tᵀ|, as the program of O-LoRA's authors has it
  kSquare,    // Σ (A_i A_tᵀ)², as their paper prints it
};

// λ times a penalty on the products of the trained adapter's A with the A of every earlier, frozen
// adapter of the same target, summed over entries, earlier adapters and targets (O-LoRA, Wang et
// al. 2023): the new task is kept out of the subspaces of the earlier ones. The gradient is of A_t
// alone, in its type; where an entry is 0 its absolute value has slope 0. The sum is float64.
// Adapters are found in TrainableModel::adapters; without earlier ones it adds nothing.
class AdapterOrthogonality : public StepTerm {
 public:
  AdapterOrthogonality(double lambda, AdapterPenalty penalty)
      : lambda_(lambda), penalty_(penalty) {}

  std::string name() const override { return "o-lora"; }
  double add(const StepView& step) override;

 private:
  double lambda_;
  AdapterPenalty penalty_;
};

}  // namespace taskneuron

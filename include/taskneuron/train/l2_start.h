#pragma once

#include <string>

#include "taskneuron/train/step_term.h"
#include "taskneuron/train/unit_values.h"

namespace taskneuron {

// λ/2 · Σ (w − w0)² over everything that is trained, w0 being what the term first sees of a weight
// (L2-SP, Li et al. 2018; of adapters, their own start). Its gradient λ (w − w0) goes through
// clipping and AdamW with the loss's, unlike decoupled weight decay. The sum is float64.
class L2Start : public StepTerm {
 public:
  explicit L2Start(double lambda) : lambda_(lambda) {}

  std::string name() const override { return "l2-start"; }
  double add(const StepView& step) override;
  NamedTensors state() const override;
  void restore(const TermState& state, const TrainableModel& model) override;

 private:
  double lambda_;
  UnitValues start_;
};

}  // namespace taskneuron

#pragma once

#include <string>

#include "taskneuron/train/step_term.h"
#include "taskneuron/train/unit_values.h"

namespace taskneuron {

// λ/2 · Σ_k Σ F_k (w − w_k)² over the earlier tasks k: elastic weight consolidation with a penalty
// of its own for every task (Kirkpatrick et al. 2017), F_k a diagonal Fisher information (fisher.h)
// and w_k the weights after task k.
//
// Kept as S = Σ F_k, the mean m = Σ F_k w_k / S and the constant C = Σ F_k (w_k − m)², which give
// the same penalty, S (w − m)² + C, without the cancellation of plain sums of squares: memory does
// not grow with the number of tasks. Everything that is trained counts, 0 where nothing is
// remembered of a unit; C is of all that is remembered. Sums of the penalty are float64.
class QuadraticAnchor : public StepTerm {
 public:
  explicit QuadraticAnchor(double lambda) : lambda_(lambda) {}

  // Adds a task that ends with the model's weights. fisher: of its parameters, where it has any.
  // Throws NonFiniteError naming the tensor whose Fisher information is not finite, and Error where
  // it does not fit the model.
  void remember(const TrainableModel& model, const UnitValues& fisher);

  std::string name() const override { return "ewc"; }
  double add(const StepView& step) override;
  NamedTensors state() const override;
  void restore(const TermState& state, const TrainableModel& model) override;

 private:
  double lambda_;
  UnitValues importance_;  // S
  UnitValues anchor_;      // m
  double spread_ = 0;      // C
};

}  // namespace taskneuron

#pragma once

#include <string>
#include <vector>

#include "taskneuron/train/step_term.h"
#include "taskneuron/train/unit_values.h"

namespace taskneuron {

// Takes from the gradient of each unit what lies along the directions in which earlier tasks
// changed that unit: O-LoRA's idea on units. Directions are orthonormalised per unit and parameter
// (a parameter that is trained whole counts as one unit); those that are zero, or depend on the
// tasks before, are left out. Of a bias, which is one number for each unit, nothing is left where
// an earlier task changed it. Units that no earlier task changed keep their gradient as it is.
//
// It is the gradient that becomes orthogonal: AdamW then scales each weight by itself. Adds 0 to
// the loss.
class UnitProjection : public StepTerm {
 public:
  // What each earlier task changed, in the tasks' order, at its units; a parameter that a task did
  // not touch may be missing.
  explicit UnitProjection(std::vector<UnitValues> directions)
      : directions_(std::move(directions)) {}

  std::string name() const override { return "projection"; }
  // Throws Error where directions do not fit a parameter.
  double add(const StepView& step) override;

 private:
  // Of a parameter's changed units.
  struct Basis {
    at::Tensor rows;        // int64 [n]: which of the parameter's units; undefined: none
    at::Tensor directions;  // [n, tasks, width], orthonormal or zero, in the gradient's type
  };
  Basis basis_of(const Parameter& parameter) const;

  std::vector<UnitValues> directions_;
  std::vector<ParameterPtr> parameters_;  // that bases_ are of
  std::vector<Basis> bases_;
};

}  // namespace taskneuron

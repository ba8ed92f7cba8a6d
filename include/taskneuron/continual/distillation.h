#pragma once

#include <string>

#include "taskneuron/train/step_term.h"

namespace taskneuron {

struct DistillationOptions {
  double lambda = 1;
  double temperature = 2;  // above 0
};

// Learning without forgetting (Li & Hoiem 2017): λ T² · KL(teacher ‖ student) of the next token's
// distributions at temperature T, over the whole vocabulary at every answer position of the step's
// own examples, averaged as the example loss is (over an answer's tokens, then over examples).
//
// The student runs a second time, under the trainer's hook; the teacher, which is the model before
// the stage, under none and without gradient. Logits exist for a slice of positions at a time, of
// teacher and student; they are float32 (float64 in a float64 model).
class Distillation : public StepTerm {
 public:
  // teacher must outlive this and have the student's vocabulary.
  Distillation(const Decoder& teacher, const DistillationOptions& options);

  std::string name() const override { return "lwf"; }
  double add(const StepView& step) override;

 private:
  double add_batch(const Batch& batch, const StepView& step) const;

  const Decoder& teacher_;
  DistillationOptions options_;
};

}  // namespace taskneuron

#pragma once

#include <vector>

#include "taskneuron/base/interruption.h"
#include "taskneuron/train/step_term.h"

namespace taskneuron {

// Makes one step of what the ranks of a world (base/world.h) have of it: each runs a share of its
// examples, and gradients are added up. Only the gradients of what trains travel: of k% of the
// units, k% of the bytes.
class RankSum : public StepTerm {
 public:
  explicit RankSum(const std::vector<TrainTask>& tasks);

  std::string name() const override { return "ranks"; }
  bool lasts() const override { return false; }  // a run may go on with other ranks, or none
  std::vector<ExampleRef> share(std::vector<ExampleRef> examples) const override;
  void reduce(StepSums& sums, TrainableModel& model) override;
  double add(const StepView&) override { return 0; }

  // Whether a signal has reached any rank: all end after the same step.
  bool ends() const { return ends_; }

 private:
  std::vector<std::vector<std::int64_t>> lengths_;  // of the examples, by task, in tokens
  bool ends_ = false;
};

}  // namespace taskneuron

#include "continual/full.h"

namespace taskneuron {

namespace {

// One model, all parameters, on all tasks at once.
class Mtl : public FullMethod {
 public:
  using FullMethod::FullMethod;
  bool together() const override { return true; }
  StagePlan plan(StageView& view) const override {
    StagePlan plan = FullMethod::plan(view);
    for (std::size_t task = 1; task < view.tasks().size(); ++task) plan.together.push_back(task);
    return plan;
  }
};

}  // namespace

MethodPtr make_mtl(const MethodSettings& settings) { return std::make_unique<Mtl>(settings); }

}  // namespace taskneuron

#include "continual/full.h"

namespace taskneuron {

namespace {

// A model for each task, all parameters, from the base: what a stream could keep at best, were
// tasks known at test time.
class PerTask : public FullMethod {
 public:
  using FullMethod::FullMethod;
  bool independent() const override { return true; }
  std::set<Kept> keeps() const override { return {Kept::kChange}; }
  StagePlan plan(StageView& view) const override {
    StagePlan plan = FullMethod::plan(view);
    plan.from_base = true;
    return plan;
  }
  std::vector<Answer> answers(TestView& view) const override {
    const auto stage = view.stage_of_task();
    if (!stage) return {};
    Answer answer;
    answer.stage = static_cast<std::int64_t>(*stage);
    return {answer};
  }
};

}  // namespace

MethodPtr make_per_task(const MethodSettings& settings) {
  return std::make_unique<PerTask>(settings);
}

}  // namespace taskneuron

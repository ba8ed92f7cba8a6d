#include "continual/adapters.h"

namespace taskneuron {

namespace {

// One adapter that is trained on through the stream.
class SeqLora : public AdapterMethod {
 public:
  using AdapterMethod::AdapterMethod;
  std::map<std::string, std::string> identity(std::size_t stage) const override {
    auto identity = AdapterMethod::identity(stage);
    if (stage > 0) identity["earlier"] = "trained on";
    return identity;
  }
  std::set<Kept> keeps_once() const override { return {Kept::kAdapters}; }
  StagePlan plan(StageView& view) const override {
    StagePlan plan = new_adapters(view);
    if (view.stage() > 0) plan.start = view.past().back().trained;
    return plan;
  }
};

}  // namespace

MethodPtr make_seqlora(const MethodSettings& settings) {
  return std::make_unique<SeqLora>(settings);
}

}  // namespace taskneuron

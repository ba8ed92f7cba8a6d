#include <fmt/format.h>

#include "continual/full.h"
#include "taskneuron/base/error.h"
#include "taskneuron/continual/distillation.h"

namespace taskneuron {

namespace {

// What the model said of the new task's rows before it trains on them is kept (Li & Hoiem 2017).
class Lwf : public FullMethod {
 public:
  explicit Lwf(MethodSettings given) : FullMethod(std::move(given)) {
    if (settings().softness > 0) return;
    throw UsageError("softness", "0", "a number above 0", "is out of range");
  }
  std::map<std::string, std::string> identity(std::size_t stage) const override {
    auto identity = FullMethod::identity(stage);
    if (stage == 0) return identity;
    identity["lwf"] = fmt::format("{}", settings().lambda);
    identity["softness"] = fmt::format("{}", settings().softness);
    return identity;
  }
  std::vector<std::unique_ptr<StepTerm>> terms(StageView& view,
                                               const TrainableModel&) const override {
    std::vector<std::unique_ptr<StepTerm>> terms;
    if (view.stage() == 0) return terms;
    terms.push_back(std::make_unique<Distillation>(
        view.last_decoder(), DistillationOptions{settings().lambda, settings().softness}));
    return terms;
  }
};

}  // namespace

MethodPtr make_lwf(const MethodSettings& settings) { return std::make_unique<Lwf>(settings); }

}  // namespace taskneuron

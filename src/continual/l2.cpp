#include <fmt/format.h>

#include "continual/full.h"
#include "taskneuron/train/l2_start.h"

namespace taskneuron {

namespace {

// lambda / 2 times the squared distance from the weights that the last task left.
class L2 : public FullMethod {
 public:
  using FullMethod::FullMethod;
  std::map<std::string, std::string> identity(std::size_t stage) const override {
    auto identity = FullMethod::identity(stage);
    if (stage > 0) identity["l2"] = fmt::format("{}", settings().lambda);
    return identity;
  }
  std::vector<std::unique_ptr<StepTerm>> terms(StageView& view,
                                               const TrainableModel&) const override {
    std::vector<std::unique_ptr<StepTerm>> terms;
    if (view.stage() > 0) terms.push_back(std::make_unique<L2Start>(settings().lambda));
    return terms;
  }
};

}  // namespace

MethodPtr make_l2(const MethodSettings& settings) { return std::make_unique<L2>(settings); }

}  // namespace taskneuron

#include <fmt/format.h>

#include "continual/adapters.h"
#include "taskneuron/base/error.h"
#include "taskneuron/continual/adapter_orthogonality.h"

namespace taskneuron {

namespace {

AdapterPenalty penalty_of(const std::string& name) {
  if (name == "absolute") return AdapterPenalty::kAbsolute;
  if (name == "square") return AdapterPenalty::kSquare;
  throw UsageError("penalty", name, "absolute or square");
}

// inclora whose new adapters are kept orthogonal to the earlier ones (Wang et al. 2023).
class OLora : public IncLora {
 public:
  explicit OLora(MethodSettings given) : IncLora(std::move(given)) {
    penalty_of(settings().penalty);
  }
  std::map<std::string, std::string> identity(std::size_t stage) const override {
    auto identity = IncLora::identity(stage);
    if (stage == 0) return identity;
    identity["lambda"] = fmt::format("{}", settings().lambda);
    identity["penalty"] = settings().penalty;
    return identity;
  }
  std::set<Kept> keeps() const override { return {Kept::kAdapters}; }
  std::vector<std::unique_ptr<StepTerm>> terms(StageView& view,
                                               const TrainableModel&) const override {
    std::vector<std::unique_ptr<StepTerm>> terms;
    if (view.stage() == 0) return terms;
    terms.push_back(
        std::make_unique<AdapterOrthogonality>(settings().lambda, penalty_of(settings().penalty)));
    return terms;
  }
};

}  // namespace

MethodPtr make_o_lora(const MethodSettings& settings) { return std::make_unique<OLora>(settings); }

}  // namespace taskneuron

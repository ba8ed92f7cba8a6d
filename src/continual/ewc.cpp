#include <fmt/format.h>

#include "continual/full.h"
#include "taskneuron/continual/quadratic_anchor.h"

namespace taskneuron {

namespace {

// A penalty on leaving what earlier tasks needed, by their Fisher information (Kirkpatrick et al.
// 2017).
class Ewc : public FullMethod {
 public:
  using FullMethod::FullMethod;
  std::map<std::string, std::string> identity(std::size_t stage) const override {
    auto identity = FullMethod::identity(stage);
    if (stage == 0) return identity;
    identity["ewc"] = fmt::format("{}", settings().lambda);
    identity["fisher_rows"] = std::to_string(settings().fisher_rows);
    return identity;
  }
  std::vector<std::unique_ptr<StepTerm>> terms(StageView& view,
                                               const TrainableModel& model) const override {
    std::vector<std::unique_ptr<StepTerm>> terms;
    if (view.stage() == 0) return terms;
    auto anchor = std::make_unique<QuadraticAnchor>(settings().lambda);
    anchor->restore(view.past().back().memory, model);
    terms.push_back(std::move(anchor));
    return terms;
  }
  std::string remembers() const override {
    return fmt::format("ewc fisher_rows {}", settings().fisher_rows);
  }
  NamedTensors remember(StageView& view) const override {
    TrainableOptions all;
    all.part = TrainedPart::kAll;
    TrainableModel model = make_trainable(view.last(), view.last_decoder(), all);
    QuadraticAnchor anchor(settings().lambda);
    if (view.stage() > 0) anchor.restore(view.past().back().memory, model);
    anchor.remember(model, view.fisher(model, settings().fisher_rows));
    return anchor.state();
  }
};

}  // namespace

MethodPtr make_ewc(const MethodSettings& settings) { return std::make_unique<Ewc>(settings); }

}  // namespace taskneuron

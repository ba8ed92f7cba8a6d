#include "continual/adapters.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "taskneuron/continual/masters.h"

namespace taskneuron {

AdapterMethod::AdapterMethod(MethodSettings given) : Method(std::move(given)) {
  require_lora_targets({settings().targets.begin(), settings().targets.end()});
}

std::map<std::string, std::string> AdapterMethod::identity(std::size_t) const {
  return {{"trains", "adapters"},
          {"rank", std::to_string(settings().rank)},
          {"alpha", fmt::format("{}", settings().alpha)},
          {"targets", fmt::format("{}", fmt::join(settings().targets, " "))}};
}

LoraOptions AdapterMethod::lora(std::uint64_t seed) const {
  LoraOptions options;
  options.rank = settings().rank;
  options.alpha = settings().alpha;
  options.targets = {settings().targets.begin(), settings().targets.end()};
  options.seed = seed;
  return options;
}

StagePlan AdapterMethod::new_adapters(const StageView& view) const {
  StagePlan plan;
  plan.from_base = true;
  plan.what.part = TrainedPart::kAdapters;
  plan.what.lora = lora(view.seed());
  return plan;
}

std::vector<AdapterPtr> AdapterMethod::earlier(const StageView& view) const {
  std::vector<AdapterPtr> adapters;
  TrainableOptions what;
  what.part = TrainedPart::kAdapters;
  what.lora = lora(0);
  for (const PastStage& past : view.past()) {
    const TrainableModel model = make_trainable(view.base(), view.base_decoder(), what);
    set_masters(model, past.trained);
    adapters.insert(adapters.end(), model.adapters.begin(), model.adapters.end());
  }
  return adapters;
}

std::map<std::string, std::string> IncLora::identity(std::size_t stage) const {
  auto identity = AdapterMethod::identity(stage);
  if (stage > 0) identity["earlier"] = "frozen";
  return identity;
}

StagePlan IncLora::plan(StageView& view) const {
  StagePlan plan = new_adapters(view);
  plan.what.earlier_adapters = earlier(view);
  return plan;
}

}  // namespace taskneuron

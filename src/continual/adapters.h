#pragma once

#include "continual/methods.h"

namespace taskneuron {

// Methods that train low-rank adapters; what they train stands on the base, whose weights stay.
class AdapterMethod : public Method {
 public:
  // Throws UsageError for an adapter target that there is not.
  explicit AdapterMethod(MethodSettings settings);
  std::map<std::string, std::string> identity(std::size_t stage) const override;

 protected:
  // Of a stage: new adapters on the base.
  StagePlan new_adapters(const StageView& view) const;
  LoraOptions lora(std::uint64_t seed) const;
  // Those of earlier stages, with the values that they had when they were trained.
  std::vector<AdapterPtr> earlier(const StageView& view) const;
};

// A new adapter each task, on top of the earlier ones, which are frozen: they may as well be
// merged.
class IncLora : public AdapterMethod {
 public:
  using AdapterMethod::AdapterMethod;
  std::map<std::string, std::string> identity(std::size_t stage) const override;
  StagePlan plan(StageView& view) const override;
};

}  // namespace taskneuron

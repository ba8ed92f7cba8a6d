#pragma once

#include "continual/methods.h"

namespace taskneuron {

// Methods that train every tensor, on from what the last stage left.
class FullMethod : public Method {
 public:
  using Method::Method;
  std::map<std::string, std::string> identity(std::size_t) const override {
    return {{"trains", "all"}};
  }
  StagePlan plan(StageView&) const override {
    StagePlan plan;
    plan.what.part = TrainedPart::kAll;
    return plan;
  }
};

}  // namespace taskneuron

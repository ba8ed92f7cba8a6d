#pragma once

#include <map>
#include <string>
#include <vector>

#include "taskneuron/checkpoint/checkpoint.h"
#include "taskneuron/train/delta.h"

namespace taskneuron {

// What a stage changed: weights before and after it, where it trained.
struct StageChange {
  struct Tensor {
    int axis = 0;
    at::Tensor units;   // int64, ascending, along the axis
    at::Tensor before;  // float32, of those units
    at::Tensor after;
  };
  std::map<std::string, Tensor> tensors;
};

// before: the model that the stage started from, which the delta is of.
StageChange change_of(const Checkpoint& before, const Delta& delta);

enum class Combine {
  kDelta,    // W0 + Σ weight · (after − before)
  kLiteral,  // units that any stage trained: Σ weight · after over those that did; the paper's eq.
             // 12
};
// "delta" or "literal". Throws UsageError for anything else.
Combine parse_combine(const std::string& name);

// What stands in the base's place, float32, by tensor. weights: one per change. With kLiteral a
// unit that one stage alone trained is that stage's times its weight: it shrinks.
std::map<std::string, at::Tensor> combined(const Checkpoint& base,
                                           const std::vector<StageChange>& changes,
                                           const std::vector<double>& weights, Combine combine);

}  // namespace taskneuron

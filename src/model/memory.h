#pragma once

#include <c10/core/ScalarType.h>

#include <cstdint>

#include "taskneuron/checkpoint/checkpoint.h"

namespace taskneuron {

// Estimated bytes beyond the mapped weights, for a forward pass of some tokens.
struct MemoryNeed {
  std::int64_t converted_weights = 0;  // copies in the compute dtype
  std::int64_t evaluate = 0;           // converted weights included
  std::int64_t detect = 0;             // likewise; what the backward pass keeps
};
MemoryNeed memory_need(const Checkpoint& checkpoint, at::ScalarType dtype, std::int64_t tokens);

}  // namespace taskneuron

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "taskneuron/data/batching.h"
#include "taskneuron/model/decoder.h"

namespace taskneuron {

// What a run is about to put through a model.
struct BatchDemand {
  std::vector<std::int64_t> lengths;  // tokens that each example adds to its batch
  std::int64_t logit_rows = 0;        // that an example has at most
  std::int64_t shared_tokens = 0;     // of a prefix that each batch runs or sees once
  std::int64_t new_tokens = 0;        // that each example may grow by, with all its keys cached
  bool backward = false;
  bool trains_weights = false;  // the backward pass forms gradients of weights too
  bool may_recompute = false;   // whether the run can give up speed for memory that way
};

struct BatchMemory {
  BatchLimits limits;
  bool recompute = false;
  std::int64_t predicted = 0;  // peak of this process's anonymous memory, bytes
};

// The batches closest to `wanted` whose peak fits `budget`: smaller ones first, then layers run
// again in the backward pass. Where there is room, as many at a time as there are threads. Throws UsageError saying how much the longest example needs when even
// that alone does not fit. Call with the model loaded: what it holds counts.
BatchMemory fit_batches(const Checkpoint& checkpoint, const DecoderOptions& options,
                        const BatchDemand& demand, const BatchLimits& wanted, std::int64_t budget);

// The budget when none is given: most of what is available now, leaving room for the checkpoint's
// mapped pages.
std::int64_t default_memory_budget(const Checkpoint& checkpoint);

}  // namespace taskneuron

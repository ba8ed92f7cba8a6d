#pragma once

#include <cstdint>
#include <string>

#include "taskneuron/recipe/session.h"

namespace taskneuron {

// What a model is, and what runs of it will need, without running it.
struct InspectOptions {
  ModelOptions model;
  std::int64_t batch_tokens = 2048;
  void declare(OptionList& list);
};

// Bytes beyond the mapped weights (docs/performance.md), of texts of a typical length with short
// answers.
struct MemoryNeeded {
  std::int64_t converted_weights = 0;  // to the compute dtype
  std::int64_t packed_weights = 0;     // in the layouts of the matrix products
  std::int64_t evaluate = 0;           // these included, one pass at a time
  std::int64_t detect = 0;
  std::int64_t detect_recomputing = 0;  // layers run twice
};

struct InspectResult {
  ModelFolder folder;
  ModelConfig config;
  std::string hash;
  std::int64_t parameters = 0;
  std::int64_t weight_bytes = 0;
  at::ScalarType dtype = at::kFloat;  // it would compute in
  MemoryNeeded memory;
};

InspectResult inspect(const InspectOptions& options);

}  // namespace taskneuron

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "taskneuron/base/options.h"
#include "taskneuron/train/run_input.h"

namespace taskneuron {

// A model folder with deltas merged, scaled or subtracted.
struct ApplyOptions {
  std::string model;
  std::vector<std::string> deltas;
  std::string out;
  void declare(OptionList& list);
};

struct ApplyResult {
  std::string base_hash;
  std::vector<RunInput> deltas;
  std::int64_t tensors = 0;          // that changed
  std::int64_t model_tensors = 0;    // of the model
  std::int64_t values = 0;           // in all deltas together
  std::int64_t rounded_tensors = 0;  // to the dtype that the folder stores
  std::string hash;                  // of what was written
};

ApplyResult apply(const ApplyOptions& options);

}  // namespace taskneuron

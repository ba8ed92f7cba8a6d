#pragma once

#include <cstdint>
#include <string>

#include "taskneuron/base/options.h"
#include "taskneuron/checkpoint/model_folder.h"

namespace taskneuron {

// A model folder in another dtype, converted tensor by tensor.
struct ConvertOptions {
  std::string model;
  std::string dtype = "bfloat16";
  std::string out;
  void declare(OptionList& list);
};

struct ConvertResult {
  ModelFolder folder;             // that was converted
  std::int64_t bytes_before = 0;  // of weights
  std::int64_t bytes = 0;
  std::string hash;  // of what was written
};

ConvertResult convert(const ConvertOptions& options);

}  // namespace taskneuron

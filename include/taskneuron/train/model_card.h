#pragma once

#include <string>
#include <vector>

#include "taskneuron/train/run_input.h"

namespace taskneuron {

struct ModelOrigin {
  std::string base;  // folder, as it was named
  std::string base_hash;
  std::vector<RunInput> deltas;
  std::string how;  // "made by `...`"
};

// README.md of a model folder that was made from another one, whose own README it is not.
std::string model_card(const ModelOrigin& origin);

}  // namespace taskneuron

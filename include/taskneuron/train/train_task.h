#pragma once

#include <optional>
#include <string>
#include <vector>

#include "taskneuron/data/examples.h"
#include "taskneuron/model/trainable.h"

namespace taskneuron {

struct TrainTask {
  std::string name;
  std::vector<AnswerExample> examples;
  // What this task's steps update; without it, everything that is trained.
  std::optional<TrainableOptions> units;
};

}  // namespace taskneuron

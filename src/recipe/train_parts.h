#pragma once

#include <map>
#include <string>
#include <vector>

#include "taskneuron/model/trainable.h"
#include "taskneuron/recipe/train.h"

namespace taskneuron {

// What is trained, in all and by each task.
struct Trained {
  TrainableOptions all;
  std::vector<TrainableOptions> by_task;  // empty: every task trains `all`
  std::string name;
};

// Reads the sets, if there are any. Throws Error for one that is empty or does not fit the model.
Trained what_is_trained(const TrainOptions& options, const Checkpoint& checkpoint);

// What run.json records: the files that a run reads, and everything that the trained weights depend
// on.
RunInputs inputs_of(const TrainOptions& options, const Session& session);
std::map<std::string, Setting> identity_of(TrainOptions options, const TaskReader& reader,
                                           const Trained& trained, const RunInputs& inputs);

}  // namespace taskneuron

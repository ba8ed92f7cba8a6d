#pragma once

#include <map>
#include <string>
#include <vector>

#include "taskneuron/model/trainable.h"
#include "taskneuron/recipe/train.h"
#include "train/rank_sum.h"

namespace taskneuron {

// What is trained, in all and by each task.
struct Trained {
  TrainableOptions all;
  std::vector<TrainableOptions> by_task;  // empty: every task trains `all`
  std::string name;
};

// Reads the sets, if there are any. Throws Error for one that is empty or does not fit the model.
Trained what_is_trained(const TrainOptions& options, const Checkpoint& checkpoint);

// How a run of these options trains these tasks. by_task: whether each step is of one task.
TrainerOptions trainer_options(const TrainOptions& options, const std::vector<EncodedTask>& tasks,
                               bool by_task);
// run_training() with a bar, and a signal put off until a checkpoint is written. ranks: that share
// the steps, or null.
TrainingRunResult run_with_progress(const Session& session, TrainableModel& model, Trainer& trainer,
                                    TrainingRunOptions& options, const RankSum* ranks = nullptr);

// What run.json records: the files that a run reads, and everything that the trained weights depend
// on.
RunInputs inputs_of(const TrainOptions& options, const Session& session);
std::map<std::string, Setting> identity_of(TrainOptions options, const TaskReader& reader,
                                           const Trained& trained, const RunInputs& inputs);

}  // namespace taskneuron

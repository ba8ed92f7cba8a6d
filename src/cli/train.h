#pragma once

#include <map>
#include <string>
#include <vector>

#include "cli/command.h"
#include "taskneuron/model/trainable.h"
#include "taskneuron/train/trainer.h"
#include "taskneuron/train/training_run.h"
#include "train/run_files.h"

namespace taskneuron::cli {

// Everything that `train` is told.
struct TrainOptions {
  CommonOptions common;
  ModelOptions model;
  DataOptions data;
  std::vector<std::string> sets;
  bool feed_forward = false;
  bool full = false;
  std::int64_t lora_rank = 0;
  double lora_alpha = 0;
  std::vector<std::string> lora_targets = {"query", "value"};
  std::string out;
  double learning_rate = 1e-4;
  std::string schedule = "linear";
  std::int64_t warmup_steps = 0;
  double weight_decay = 0;
  double clip = 1;
  double l2_start = 0;
  std::int64_t steps = 0;
  double epochs = 3;
  std::int64_t batch = 16;
  std::int64_t accumulate = 1;
  std::string mixing = "proportional";
  std::uint64_t seed = 0;
  std::string evaluate = "epoch";
  std::string validation_split = "validation";
  std::int64_t validation_limit = 0;
  std::int64_t patience = 0;
  std::string save;
  double checkpoint_seconds = 60;
  bool resume = false;
  bool no_shared_prefix = false;
  bool allow_other_weights = false;
};

// What is trained, in all and by each task.
struct Trained {
  TrainableOptions all;
  std::vector<TrainableOptions> by_task;  // empty: every task trains `all`
  std::string name;
};

// Reads the sets, if there are any. Throws Error for one that is empty or does not fit the model.
Trained what_is_trained(const TrainOptions& options, const LoadedModel& model);

// What run.json records: the files that a run reads, and everything that the trained weights depend
// on.
RunInputs inputs_of(const TrainOptions& options, const LoadedModel& model);
std::map<std::string, Setting> settings_of(const TrainOptions& options, const LoadedModel& model,
                                           const PromptTemplate& prompt, const Trained& trained,
                                           const TrainerOptions& trainer, const RunInputs& inputs);

void print_result(const TrainOptions& options, const TrainableModel& model, Trainer& trainer,
                  const TrainingRunResult& result);

}  // namespace taskneuron::cli

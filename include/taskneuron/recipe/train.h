#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "taskneuron/recipe/session.h"
#include "taskneuron/train/training_run.h"

namespace taskneuron {

// How weights follow gradients, beside the learning rate.
struct OptimizerOptions {
  std::string schedule = "linear";
  std::int64_t warmup_steps = 0;
  double weight_decay = 0;
  double clip = 1;
  void declare_optimizer(OptionList& list);
};

// Fine-tuning of the units of sets, of the FFNs, of everything, or of adapters, in a folder of its
// own (docs/formats/training.md).
struct TrainOptions : OptimizerOptions {
  DataOptions data;
  std::vector<std::string> sets;
  bool feed_forward = false;
  bool full = false;
  std::int64_t lora_rank = 0;
  double lora_alpha = 0;
  std::vector<std::string> lora_targets = {"query", "value"};
  std::string out;
  double learning_rate = 1e-4;
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
  TrainOptions() { data.split = "train"; }
  void declare(OptionList& list);
  // Throws what is known to be wrong before a model is opened.
  void check() const;
};

struct TrainResult {
  TrainingRunResult run;
  std::int64_t trained_values = 0;
  // Nothing where the run was finished before, and only what came out is known.
  std::optional<std::int64_t> gradient_and_optimizer_bytes;
};

// Throws as run_training does; Interrupted, with a checkpoint written, once a signal asks for it.
TrainResult train(const Session& session, const TrainOptions& options);

}  // namespace taskneuron

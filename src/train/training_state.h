#pragma once

#include <filesystem>
#include <limits>
#include <vector>

#include "taskneuron/train/adamw.h"

namespace taskneuron {

// Where a training run stands after a step, beside the optimizer's own state.
struct TrainingState {
  std::int64_t step = 0;
  std::int64_t tokens = 0;
  double seconds = 0;
  double first_loss = 0;
  double last_loss = 0;
  double best_loss = std::numeric_limits<double>::infinity();  // mean validation loss
  std::int64_t best_step = 0;
  std::int64_t evaluated_step = -1;  // the last one that was evaluated
  std::int64_t evaluations_since_best = 0;
  bool stopped = false;
  std::vector<at::Tensor> best_masters;  // when stopping early is asked for
};

// checkpoint.safetensors in a run's folder. The old one stays until the new one is complete; an
// Error (a full disk) leaves it as it was.
void save_training_state(const TrainingState& state, AdamW& optimizer,
                         const std::filesystem::path& folder);
// Reads it into state, masters (stored into the decoder) and moments. False when there is none.
// Throws Error for one that does not fit the optimizer's parameters.
bool load_training_state(const std::filesystem::path& folder, AdamW& optimizer,
                         TrainingState& state);
bool has_training_state(const std::filesystem::path& folder);
void remove_training_state(const std::filesystem::path& folder);

}  // namespace taskneuron

#pragma once

#include <filesystem>
#include <limits>

#include "taskneuron/train/trainer.h"
#include "taskneuron/train/unit_values.h"

namespace taskneuron {

// Where a training run stands after a step, beside the state of optimizer and terms.
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
  UnitValues best_masters;  // when stopping early is asked for
};

// checkpoint.safetensors in a run's folder. The old one stays until the new one is complete; an
// Error (a full disk) leaves it as it was.
void save_training_state(const TrainingState& state, Trainer& trainer,
                         const std::filesystem::path& folder);
// Reads it into state, masters (stored into the decoder), moments and terms. False when there is
// none. Throws Error, naming the tensor, for one that does not fit: everything is found by tensor
// and units, and nothing may be missing or left over.
bool load_training_state(const std::filesystem::path& folder, Trainer& trainer,
                         TrainingState& state);
bool has_training_state(const std::filesystem::path& folder);
void remove_training_state(const std::filesystem::path& folder);

}  // namespace taskneuron

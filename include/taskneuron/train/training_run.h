#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "taskneuron/base/options.h"
#include "taskneuron/checkpoint/checkpoint.h"
#include "taskneuron/evaluate/evaluation.h"
#include "taskneuron/train/certificate.h"
#include "taskneuron/train/run_input.h"
#include "taskneuron/train/trainer.h"

namespace taskneuron {

class FolderLock;

enum class SaveAs {
  kDelta,  // delta.safetensors
  kModel,  // a folder that Transformers loads
};

// What a run was made from.
struct RunInputs {
  RunInput model;
  std::vector<RunInput> deltas;
  std::vector<RunInput> tasks;  // hash: of the split's rows
  std::vector<RunInput> sets;
};

// A training run in a folder of its own (format: docs/formats/training.md): settings and progress
// while it runs, the result when it is done. A run that was killed goes on from its last checkpoint
// to the same weights.
struct TrainingRunOptions {
  std::filesystem::path out;
  bool resume = false;
  // Everything that the result depends on. A run is resumed only with the same.
  std::map<std::string, Setting> settings;
  RunInputs inputs;  // for the record: paths may change between sessions of a run
  SaveAs save = SaveAs::kDelta;
  double checkpoint_seconds = 60;   // between checkpoints
  std::int64_t evaluate_every = 0;  // steps; 0: never, else before the first step too
  std::int64_t patience = 0;        // evaluations without a better loss until it stops; 0: off
  const std::vector<TaskEvaluation>* validation = nullptr;
  BatchLimits validation_limits;
};

// What a session has done since it last reported: after each step, after each batch of an
// evaluation and each tensor of the result (steps and tokens are 0 then), and on going on.
struct TrainingProgress {
  std::int64_t steps = 0;
  std::int64_t tokens = 0;
  double loss = 0;       // of the last step
  bool resumed = false;  // steps of earlier sessions
};

struct TrainingRunResult {
  std::int64_t steps = 0;      // done in all
  std::int64_t best_step = 0;  // whose weights were saved
  bool stopped_early = false;
  double first_loss = 0;  // of the first and the last step
  double last_loss = 0;
  std::int64_t tokens = 0;
  double seconds = 0;                  // of steps and evaluations, over all sessions of the run
  std::vector<TaskResult> validation;  // the last evaluation, or the best one's
  std::vector<TaskResult> validation_before;  // before the first step, without predictions
  Certificate certificate;
  std::string file;  // what was saved
};

// Whether `out` holds a run that can go on, or is free. Throws Error when it holds a run without
// `resume`, one with other settings (naming them), or something else, and when another process is
// working in it. Makes the folder and its run.json; no other process can until this is gone.
class TrainingFolder {
 public:
  explicit TrainingFolder(const TrainingRunOptions& options);
  ~TrainingFolder();
  // What came out, where the run is finished already; evaluations without predictions.
  std::optional<TrainingRunResult> finished() const;
  // The batch plan of the run's first session, which a resumed one keeps; undefined: set it.
  BatchMemory batch_plan(const std::function<BatchMemory()>& make) const;

 private:
  std::filesystem::path run_json_;
  bool finished_ = false;
  std::unique_ptr<const FolderLock> lock_;
};

// progress may throw Interrupted (base/interruption.h, "Cancelling"): the run ends with a
// checkpoint and an Interrupted that says how far it came. Called again with `resume`, whether with
// the same model and trainer or with new ones, it goes on to the same result. Throws NonFiniteError
// when training diverges, with a checkpoint of weights that are finite; Error, with nothing of the
// kind written, when the result would hold numbers that are not.
TrainingRunResult run_training(const Checkpoint& base, TrainableModel& model, Trainer& trainer,
                               const TrainingRunOptions& options,
                               const std::function<void(const TrainingProgress&)>& progress);

}  // namespace taskneuron

#include "taskneuron/train/training_run.h"

#include <fmt/format.h>

#include <chrono>
#include <cmath>

#include "base/elapsed.h"
#include "base/file.h"
#include "base/json.h"
#include "base/torch_compat.h"
#include "base/world.h"
#include "taskneuron/base/error.h"
#include "taskneuron/base/interruption.h"
#include "taskneuron/base/statistics.h"
#include "taskneuron/base/version.h"
#include "taskneuron/train/delta.h"
#include "taskneuron/train/model_card.h"
#include "train/finished_run.h"
#include "train/run_files.h"
#include "train/training_state.h"

namespace taskneuron {

namespace fs = std::filesystem;

namespace {

constexpr const char* kDeltaFile = "delta.safetensors";
constexpr const char* kModelFile = "model.safetensors";

// What a run does between its first and its last step.
class Run {
 public:
  Run(const Checkpoint& base, TrainableModel& model, Trainer& trainer,
      const TrainingRunOptions& options,
      const std::function<void(const TrainingProgress&)>& progress)
      : base_(base), model_(model), trainer_(trainer), options_(options), progress_(progress) {}

  TrainingRunResult run();

 private:
  void resume();
  void train();
  void train_to_checkpoint();
  void use_best_weights();
  void take_step(std::int64_t number, StepLog& log);
  bool evaluation_due() const;
  std::vector<TaskResult> evaluate(StepLog& log);
  // Of an evaluation; sets whether to stop.
  void judge(std::vector<TaskResult> results);
  // Gives the caller a chance to end the work where it lasts.
  void report_still_working() const { progress_({0, 0, state_.last_loss, false}); }
  void save_checkpoint();
  void save_trained(TrainingRunResult& result) const;
  TrainingRunResult save_result() const;
  void save_certificate(const Certificate& certificate) const;
  double seconds() const { return state_.seconds + seconds_since(start_); }

  const Checkpoint& base_;
  TrainableModel& model_;
  Trainer& trainer_;
  const TrainingRunOptions& options_;
  const std::function<void(const TrainingProgress&)>& progress_;
  TrainingState state_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  std::chrono::steady_clock::time_point last_save_ = start_;
  double seconds_of_all_ = 0;  // once the last step is done
  std::vector<TaskResult> validation_;
  std::vector<TaskResult> validation_before_;
};

void Run::take_step(std::int64_t number, StepLog& log) {
  const StepResult step = trainer_.step(number);
  state_.step = number;
  state_.tokens += step.tokens;
  if (number == 1) state_.first_loss = step.loss;
  state_.last_loss = step.loss;
  OutputJson row = {{"step", number},           {"loss", step.loss},
                    {"lr", step.learning_rate}, {"tokens", step.tokens},
                    {"seconds", seconds()},     {"gradient_norm", step.gradient_norm}};
  if (step.penalty) row["penalty"] = *step.penalty;
  log.add(row);
  progress_({1, step.tokens, step.loss, false});
}

bool Run::evaluation_due() const {
  const std::int64_t step = state_.step;
  if (options_.evaluate_every == 0 || options_.validation == nullptr) return false;
  if (state_.evaluated_step >= step) return false;
  return step % options_.evaluate_every == 0 || step == trainer_.steps();
}

std::vector<TaskResult> Run::evaluate(StepLog& log) {
  std::vector<TaskResult> results;
  for (const TaskEvaluation& evaluation : *options_.validation) {
    results.push_back(evaluation.run(model_.decoder, trainer_.hook(), options_.validation_limits,
                                     [&](std::int64_t, std::int64_t) { report_still_working(); }));
    results.back().predictions.clear();
  }
  for (const TaskResult& result : results) log.add(evaluation_row(state_.step, result));
  state_.evaluated_step = state_.step;
  return results;
}

void Run::judge(std::vector<TaskResult> results) {
  // What was there before training is for comparison, not a candidate for the best weights.
  if (state_.step == 0) {
    validation_before_ = std::move(results);
    return;
  }
  std::vector<double> losses;
  for (const TaskResult& result : results) losses.push_back(result.loss);
  const double loss = mean(losses);
  const bool better = loss < state_.best_loss;
  if (better || options_.patience == 0) {
    validation_ = std::move(results);
    state_.best_step = state_.step;
  }
  if (better) state_.best_loss = loss;
  if (options_.patience == 0) return;
  if (better) {
    state_.evaluations_since_best = 0;
    for (const ParameterPtr& parameter : model_.parameters) {
      state_.best_masters.put(*parameter, parameter->master);
    }
  } else {
    ++state_.evaluations_since_best;
  }
  state_.stopped = state_.evaluations_since_best >= options_.patience;
}

void Run::save_checkpoint() {
  if (world().rank() > 0) return;  // rank 0's is all of theirs
  TrainingState now = state_;
  now.seconds = seconds();
  save_training_state(now, trainer_, options_.out);
  last_save_ = std::chrono::steady_clock::now();
}

void Run::resume() {
  if (!options_.resume || !load_training_state(options_.out, trainer_, state_)) return;
  const fs::path evaluations = options_.out / kEvaluationsFile;
  validation_before_ = read_evaluation(evaluations, 0);
  if (state_.best_step > 0) validation_ = read_evaluation(evaluations, state_.best_step);
  progress_({state_.step, 0, state_.last_loss, true});
}

void Run::train() {
  StepLog steps(options_.out / kStepsFile, state_.step);
  StepLog evaluations(options_.out / kEvaluationsFile, state_.evaluated_step);
  start_ = last_save_ = std::chrono::steady_clock::now();
  for (;;) {
    if (evaluation_due()) judge(evaluate(evaluations));
    const bool done = state_.stopped || state_.step == trainer_.steps();
    if (done) seconds_of_all_ = seconds();
    // At the end too: a kill while the result is written costs no training.
    if (state_.step > 0 && (done || seconds_since(last_save_) >= options_.checkpoint_seconds)) {
      save_checkpoint();
    }
    if (done) return;
    take_step(state_.step + 1, steps);
  }
}

void Run::train_to_checkpoint() {
  try {
    train();
  } catch (const NonFiniteError&) {
    // An older checkpoint is of weights that worked; what led here may not be.
    if (trainer_.weights_gave_finite_loss() || !has_training_state(options_.out)) save_checkpoint();
    world().least(0);  // until rank 0 has written it
    throw;
  } catch (const Interrupted&) {
    if (state_.step > 0) save_checkpoint();
    world().leave();
    throw;
  }
}

void Run::use_best_weights() {
  if (state_.best_masters.empty()) return;
  for (const ParameterPtr& parameter : model_.parameters) {
    parameter->master.copy_(state_.best_masters.of(*parameter));
    parameter->store();
  }
}

TrainingRunResult Run::run() {
  try {
    resume();
    train_to_checkpoint();
    // What follows needs no other checkpoint than the one of the last step.
    use_best_weights();
    trainer_.finish();
    return save_result();
  } catch (const Interrupted&) {
    throw Interrupted(fmt::format("interrupted at step {} of {}; `resume` goes on", state_.step,
                                  trainer_.steps()));
  }
}

TrainingRunResult Run::save_result() const {
  TrainingRunResult result;
  result.steps = state_.step;
  result.best_step = options_.patience > 0 ? state_.best_step : state_.step;
  result.stopped_early = state_.stopped && state_.step < trainer_.steps();
  result.first_loss = state_.first_loss;
  result.last_loss = state_.last_loss;
  result.tokens = state_.tokens;
  result.seconds = seconds_of_all_;
  result.validation = validation_;
  result.validation_before = validation_before_;
  if (world().rank() > 0) {
    world().least(0);  // until rank 0 has written it: signals are deferred here
    return result;
  }
  save_trained(result);
  save_certificate(result.certificate);
  if (!result.certificate.holds()) {
    throw Error(
        fmt::format("{}: something outside of what was trained has changed; see "
                    "certificate.json. This is a bug; please report it",
                    options_.out.string()));
  }
  finish_run(options_.out, result);
  remove_training_state(options_.out);
  world().least(0);
  return result;
}

void Run::save_certificate(const Certificate& certificate) const {
  write_file(options_.out / kCertificateFile,
             json_text(certificate_json(certificate, base_.hash()), 1) + "\n");
}

void Run::save_trained(TrainingRunResult& result) const {
  const auto weights = named_weights(model_.decoder);
  const std::map<std::string, TrainedTensor> trained = trained_tensors(base_, model_);
  result.certificate = certify(base_, trained, [&](const std::string& name) {
    report_still_working();
    const auto found = weights.find(name);
    return found == weights.end() ? at::Tensor() : found->second;
  });
  if (options_.save == SaveAs::kDelta) {
    result.file = (options_.out / kDeltaFile).string();
    Delta delta = make_delta(base_, model_);
    delta.from = settings_text(options_.settings);
    save_delta(delta, result.file);
    return;
  }
  SaveOptions save;
  for (const auto& [name, tensor] : trained) {
    const at::Tensor stored = base_.tensor(name);
    at::Tensor merged = stored.clone();
    merged.index_copy_(tensor.axis, tensor.units, tensor.value.to(stored.scalar_type()));
    save.replaced[name] = merged;
  }
  save.progress = [&](std::int64_t) { report_still_working(); };
  save.readme = model_card({options_.inputs.model.path, base_.hash(), options_.inputs.deltas,
                            "trained by `taskneuron train`; run.json holds its settings"});
  save_model_into(base_, options_.out, save);
  result.file = (options_.out / kModelFile).string();
  // What counts is what was written.
  const Checkpoint written(options_.out);
  const Certificate in_file = certify(base_, trained, [&](const std::string& name) {
    report_still_working();
    return written.tensor(name);
  });
  TN_CHECK(in_file.holds() || !result.certificate.holds());
  result.certificate = in_file;
}

}  // namespace

TrainingRunResult run_training(const Checkpoint& base, TrainableModel& model, Trainer& trainer,
                               const TrainingRunOptions& options,
                               const std::function<void(const TrainingProgress&)>& progress) {
  return Run(base, model, trainer, options, progress).run();
}

}  // namespace taskneuron

#include "taskneuron/train/training_run.h"

#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <fstream>
#include <limits>

#include "base/file.h"
#include "base/json.h"
#include "base/torch_compat.h"
#include "taskneuron/base/error.h"
#include "taskneuron/base/statistics.h"
#include "taskneuron/train/delta.h"
#include "train/training_state.h"

namespace taskneuron {

namespace fs = std::filesystem;

namespace {

constexpr const char* kFormat = "taskneuron.train/1";
constexpr const char* kRunFile = "run.json";
constexpr const char* kStepsFile = "train.jsonl";
constexpr const char* kEvaluationsFile = "evaluation.jsonl";
constexpr const char* kDeltaFile = "delta.safetensors";
constexpr const char* kModelFile = "model.safetensors";

// A JSON-lines file that is appended to; lines of steps after `last_step` are dropped first.
class StepLog {
 public:
  StepLog(const fs::path& path, std::int64_t last_step) : path_(path) {
    std::string kept;
    if (fs::exists(path)) {
      std::ifstream old(path);
      for (std::string line; std::getline(old, line);) {
        if (belongs(line, last_step)) kept += line + "\n";
      }
    }
    write_file(path, kept);
    stream_.open(path, std::ios::app);
  }
  void add(const OutputJson& row) {
    stream_ << row.dump() << "\n" << std::flush;
    if (!stream_)
      throw Error(fmt::format("{}: cannot be written; is the disk full?", path_.string()));
  }

 private:
  // A line that a kill cut short belongs to nothing.
  static bool belongs(const std::string& line, std::int64_t last_step) {
    const Json row = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    return row.is_object() && row.contains("step") && row["step"].is_number_integer() &&
           row["step"].get<std::int64_t>() <= last_step;
  }
  fs::path path_;
  std::ofstream stream_;
};

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void require_same(const std::map<std::string, std::string>& now, const JsonView& before,
                  const std::string& where) {
  for (const auto& [key, value] : now) {
    const std::string old = before.string_or(key, "");
    if (old == value) continue;
    throw Error(
        fmt::format("{}: cannot be resumed with another {}: it was '{}', now it is '{}'; "
                    "give the same settings, or train into another folder",
                    where, key, old, value));
  }
}

// What a kill left of files that were being written.
void remove_temporary_files(const fs::path& folder) {
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    std::error_code ignored;
    if (name.front() == '.' && entry.path().extension() == ".tmp") {
      fs::remove(entry.path(), ignored);
    }
  }
}

// What a run does between its first and its last step.
class Run {
 public:
  Run(const Checkpoint& base, TrainableModel& model, Trainer& trainer,
      const TrainingRunOptions& options, const std::function<void(std::int64_t)>& progress)
      : base_(base), model_(model), trainer_(trainer), options_(options), progress_(progress) {}

  TrainingRunResult run();

 private:
  void take_step(std::int64_t number, StepLog& log);
  // Returns whether to stop.
  bool evaluate(std::int64_t number, StepLog& log);
  void save_checkpoint();
  void save_result(TrainingRunResult& result) const;
  void save_certificate(const Certificate& certificate) const;
  double seconds() const { return state_.seconds + seconds_since(start_); }

  const Checkpoint& base_;
  TrainableModel& model_;
  Trainer& trainer_;
  const TrainingRunOptions& options_;
  const std::function<void(std::int64_t)>& progress_;
  TrainingState state_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  std::chrono::steady_clock::time_point last_save_ = start_;
  std::vector<TaskResult> validation_;
};

void Run::take_step(std::int64_t number, StepLog& log) {
  const StepResult step = trainer_.step(number);
  state_.step = number;
  state_.tokens += step.tokens;
  if (number == 1) state_.first_loss = step.loss;
  state_.last_loss = step.loss;
  log.add({{"step", number},
           {"loss", step.loss},
           {"lr", step.learning_rate},
           {"tokens", step.tokens},
           {"seconds", seconds()},
           {"gradient_norm", step.gradient_norm}});
  progress_(step.tokens);
}

bool Run::evaluate(std::int64_t number, StepLog& log) {
  NeuronHook none;
  std::vector<double> losses;
  std::vector<TaskResult> results;
  for (const TaskEvaluation& evaluation : *options_.validation) {
    TaskResult result = evaluation.run(model_.decoder, none, options_.validation_limits,
                                       [](std::int64_t, std::int64_t) {});
    log.add({{"step", number},
             {"task", result.task},
             {"split", result.split},
             {"metric", result.metric},
             {"value", result.value},
             {"stderr", result.standard_error},
             {"loss", result.loss},
             {"examples", result.examples}});
    losses.push_back(result.loss);
    result.predictions.clear();
    results.push_back(std::move(result));
  }
  const double loss = mean(losses);
  const bool better = loss < state_.best_loss;
  if (better || options_.patience == 0) {
    validation_ = std::move(results);
    state_.best_step = number;
  }
  if (better) state_.best_loss = loss;
  if (options_.patience == 0) return false;
  if (better) {
    state_.evaluations_since_best = 0;
    state_.best_masters.clear();
    for (const ParameterPtr& parameter : model_.parameters) {
      state_.best_masters.push_back(parameter->master.clone());
    }
  } else {
    ++state_.evaluations_since_best;
  }
  return state_.evaluations_since_best >= options_.patience;
}

void Run::save_checkpoint() {
  TrainingState now = state_;
  now.seconds = seconds();
  save_training_state(now, trainer_.optimizer(), options_.out);
  last_save_ = std::chrono::steady_clock::now();
}

TrainingRunResult Run::run() {
  const bool resumed =
      options_.resume && load_training_state(options_.out, trainer_.optimizer(), state_);
  StepLog steps(options_.out / kStepsFile, state_.step);
  StepLog evaluations(options_.out / kEvaluationsFile, state_.step);
  if (resumed) progress_(0);
  while (state_.step < trainer_.steps() && !state_.stopped) {
    const std::int64_t number = state_.step + 1;
    try {
      take_step(number, steps);
    } catch (const NonFiniteError&) {
      save_checkpoint();  // the weights before this step are good
      throw;
    }
    const bool last = number == trainer_.steps();
    const bool due = options_.evaluate_every > 0 && options_.validation != nullptr &&
                     (number % options_.evaluate_every == 0 || last);
    if (due) state_.stopped = evaluate(number, evaluations);
    // The last one too: a kill while the result is written costs no training.
    if (last || state_.stopped || seconds_since(last_save_) >= options_.checkpoint_seconds) {
      save_checkpoint();
    }
  }
  if (!state_.best_masters.empty()) {
    for (std::size_t p = 0; p < model_.parameters.size(); ++p) {
      model_.parameters[p]->master.copy_(state_.best_masters[p]);
      model_.parameters[p]->store();
    }
  }
  TrainingRunResult result;
  result.steps = state_.step;
  result.best_step = options_.patience > 0 ? state_.best_step : state_.step;
  result.stopped_early = state_.stopped && state_.step < trainer_.steps();
  result.first_loss = state_.first_loss;
  result.last_loss = state_.last_loss;
  result.tokens = state_.tokens;
  result.seconds = seconds();
  result.validation = validation_;
  save_result(result);
  return result;
}

void Run::save_certificate(const Certificate& certificate) const {
  OutputJson rows = OutputJson::array();
  for (const CertifiedTensor& tensor : certificate.tensors) {
    OutputJson row = {{"tensor", tensor.tensor}};
    if (tensor.units > 0) {
      row["units"] = tensor.units;
      row["trained_units"] = tensor.trained_units;
      row["changed_units"] = tensor.changed_units;
    }
    row["frozen_sha256_before"] = tensor.frozen_before;
    row["frozen_sha256_after"] = tensor.frozen_after;
    row["identical"] = tensor.holds();
    rows.push_back(row);
  }
  const OutputJson json = {{"format", "taskneuron.certificate/1"},
                           {"base", base_.hash()},
                           {"holds", certificate.holds()},
                           {"trained_values", certificate.trained_values},
                           {"frozen_values", certificate.frozen_values},
                           {"tensors", rows}};
  write_file(options_.out / "certificate.json", json.dump(1) + "\n");
}

void Run::save_result(TrainingRunResult& result) const {
  const auto weights = named_weights(model_.decoder);
  const std::map<std::string, TrainedTensor> trained = trained_tensors(base_, model_);
  result.certificate = certify(base_, trained, [&](const std::string& name) {
    const auto found = weights.find(name);
    return found == weights.end() ? at::Tensor() : found->second;
  });
  if (options_.save == SaveAs::kDelta) {
    result.file = (options_.out / kDeltaFile).string();
    Delta delta = make_delta(base_, model_);
    delta.from = options_.settings;
    save_delta(delta, result.file);
  } else {
    SaveOptions save;
    for (const auto& [name, tensor] : trained) {
      const at::Tensor stored = base_.tensor(name);
      at::Tensor merged = stored.clone();
      merged.index_copy_(tensor.axis, tensor.units, tensor.value.to(stored.scalar_type()));
      save.replaced[name] = merged;
    }
    save_model_into(base_, options_.out, save);
    result.file = (options_.out / kModelFile).string();
    // What counts is what was written.
    const Checkpoint written(options_.out);
    const Certificate in_file =
        certify(base_, trained, [&](const std::string& name) { return written.tensor(name); });
    TN_CHECK(in_file.holds() || !result.certificate.holds());
    result.certificate = in_file;
  }
  save_certificate(result.certificate);
  if (!result.certificate.holds()) {
    throw Error(
        fmt::format("{}: something outside of what was trained has changed; see "
                    "certificate.json. This is a bug; please report it",
                    options_.out.string()));
  }
  OutputJson run = OutputJson::parse(read_file(options_.out / kRunFile));
  run["finished"] = true;
  run["result"] = {{"steps", result.steps},
                   {"best_step", result.best_step},
                   {"stopped_early", result.stopped_early},
                   {"first_loss", result.first_loss},
                   {"last_loss", result.last_loss},
                   {"tokens", result.tokens},
                   {"seconds", result.seconds}};
  write_file(options_.out / kRunFile, run.dump(1) + "\n");
  remove_training_state(options_.out);
}

}  // namespace

TrainingFolder::TrainingFolder(const TrainingRunOptions& options)
    : run_json_(options.out / kRunFile) {
  const std::string where = options.out.string();
  if (fs::exists(options.out) && !fs::is_directory(options.out)) {
    throw Error(fmt::format("{}: is a file; --out is a folder", where));
  }
  if (fs::exists(run_json_)) {
    const Json document = read_json(run_json_);
    const JsonView json(document, run_json_.string());
    if (json.string_or("format", "") != kFormat) json.fail("is not a training run's");
    if (json.boolean_or("finished", false)) {
      throw Error(fmt::format("{}: holds a finished run; train into another folder", where));
    }
    if (!options.resume) {
      throw Error(
          fmt::format("{}: holds an unfinished run; --resume goes on with it, or train into "
                      "another folder",
                      where));
    }
    require_same(options.settings, json.at("settings"), where);
    remove_temporary_files(options.out);
    return;
  }
  if (fs::exists(options.out) && !fs::is_empty(options.out)) {
    throw Error(fmt::format("{}: is not empty; train into another folder", where));
  }
  std::error_code failure;
  fs::create_directories(options.out, failure);
  if (failure) throw Error(fmt::format("{}: cannot be created: {}", where, failure.message()));
  const OutputJson run = {{"format", kFormat}, {"finished", false}, {"settings", options.settings}};
  write_file(run_json_, run.dump(1) + "\n");
}

BatchMemory TrainingFolder::batch_plan(const std::function<BatchMemory()>& make) const {
  OutputJson run = OutputJson::parse(read_file(run_json_));
  if (run.contains("batches")) {
    const OutputJson& plan = run["batches"];
    return {{plan.value("examples", std::int64_t{0}), plan.value("tokens", std::int64_t{2048})},
            plan.value("recompute", false),
            plan.value("predicted_memory_bytes", std::int64_t{0})};
  }
  const BatchMemory plan = make();
  run["batches"] = {{"examples", plan.limits.max_examples},
                    {"tokens", plan.limits.max_tokens},
                    {"recompute", plan.recompute},
                    {"predicted_memory_bytes", plan.predicted}};
  write_file(run_json_, run.dump(1) + "\n");
  return plan;
}

TrainingRunResult run_training(const Checkpoint& base, TrainableModel& model, Trainer& trainer,
                               const TrainingRunOptions& options,
                               const std::function<void(std::int64_t tokens)>& progress) {
  return Run(base, model, trainer, options, progress).run();
}

}  // namespace taskneuron

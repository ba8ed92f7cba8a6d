#include <fmt/format.h>

#include "base/file.h"
#include "base/folder_lock.h"
#include "base/json.h"
#include "taskneuron/base/error.h"
#include "taskneuron/base/version.h"
#include "taskneuron/train/training_run.h"
#include "train/finished_run.h"
#include "train/run_files.h"

namespace taskneuron {

namespace fs = std::filesystem;

namespace {

constexpr const char* kFormat = "taskneuron.train/1";

}  // namespace

TrainingFolder::TrainingFolder(const TrainingRunOptions& options)
    : run_json_(options.out / kRunFile) {
  const std::string where = options.out.string();
  const bool new_folder = !fs::exists(options.out);
  if (!new_folder && !fs::is_directory(options.out)) {
    throw Error(fmt::format("{}: is a file; `out` is a folder", where));
  }
  std::error_code failure;
  fs::create_directories(options.out, failure);
  if (failure) throw Error(fmt::format("{}: cannot be created: {}", where, failure.message()));
  lock_ = std::make_unique<const FolderLock>(options.out);
  if (fs::exists(run_json_)) {
    const Json document = read_json(run_json_);
    const JsonView json(document, run_json_.string());
    if (json.string_or("format", "") != kFormat) json.fail("is not a training run's");
    finished_ = json.boolean_or("finished", false);
    if (!options.resume) {
      throw Error(finished_
                      ? fmt::format("{}: holds a finished run; train into another folder", where)
                      : fmt::format("{}: holds an unfinished run; `resume` goes on with it, or "
                                    "train into another folder",
                                    where));
    }
    require_same_settings(options.settings, json.at("settings"), where,
                          "train into another folder");
    remove_leftovers(options.out);
    return;
  }
  if (!new_folder) {
    if (!is_free_folder(options.out, kRunFile)) {
      throw Error(fmt::format("{}: is not empty; train into another folder", where));
    }
    remove_leftovers(options.out);
  }
  const OutputJson run = {{"format", kFormat},
                          {"finished", false},
                          {"inputs", inputs_json(options.inputs)},
                          {"settings", settings_json(options.settings)}};
  write_file(run_json_, json_text(run, 1) + "\n");
}

TrainingFolder::~TrainingFolder() = default;

std::optional<TrainingRunResult> TrainingFolder::finished() const {
  if (!finished_) return std::nullopt;
  return read_finished_run(run_json_.parent_path());
}

BatchMemory TrainingFolder::batch_plan(const std::function<BatchMemory()>& make) const {
  const Json document = read_json(run_json_);
  if (const auto plan = JsonView(document, run_json_.string()).find("batches")) {
    const BatchLimits limits{plan->at("examples").integer(), plan->at("tokens").integer()};
    if (limits.max_examples < 0 || limits.max_tokens < 1) plan->fail("are no limits of a batch");
    return {limits, plan->at("recompute").boolean(), plan->at("predicted_memory_bytes").integer()};
  }
  OutputJson run = read_output_json(run_json_);
  const BatchMemory plan = make();
  run["batches"] = {{"examples", plan.limits.max_examples},
                    {"tokens", plan.limits.max_tokens},
                    {"recompute", plan.recompute},
                    {"predicted_memory_bytes", plan.predicted}};
  write_file(run_json_, json_text(run, 1) + "\n");
  return plan;
}

}  // namespace taskneuron

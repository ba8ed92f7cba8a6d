#include <fmt/format.h>

#include "base/file.h"
#include "base/json.h"
#include "taskneuron/base/error.h"
#include "taskneuron/base/version.h"
#include "taskneuron/train/training_run.h"
#include "train/run_files.h"

namespace taskneuron {

namespace fs = std::filesystem;

namespace {

constexpr const char* kFormat = "taskneuron.train/1";

}  // namespace

TrainingFolder::TrainingFolder(const TrainingRunOptions& options)
    : run_json_(options.out / kRunFile) {
  const std::string where = options.out.string();
  if (fs::exists(options.out) && !fs::is_directory(options.out)) {
    throw Error(fmt::format("{}: is a file; `out` is a folder", where));
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
          fmt::format("{}: holds an unfinished run; `resume` goes on with it, or train into "
                      "another folder",
                      where));
    }
    require_same_settings(options.settings, json.at("settings"), where,
                          "train into another folder");
    remove_leftovers(options.out);
    return;
  }
  if (fs::exists(options.out)) {
    if (!is_free_folder(options.out, kRunFile)) {
      throw Error(fmt::format("{}: is not empty; train into another folder", where));
    }
    remove_leftovers(options.out);
  }
  std::error_code failure;
  fs::create_directories(options.out, failure);
  if (failure) throw Error(fmt::format("{}: cannot be created: {}", where, failure.message()));
  const OutputJson run = {{"format", kFormat},
                          {"finished", false},
                          {"inputs", inputs_json(options.inputs)},
                          {"settings", settings_json(options.settings)}};
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

}  // namespace taskneuron

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

// A setting as JSON holds it, as its owner wrote it on the command line.
std::string text_of(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number_float()) return fmt::format("{}", value.get<double>());
  return value.is_null() ? "" : value.dump();
}

// A setting that only this run has was '' before.
void require_same(const std::map<std::string, Setting>& now, const JsonView& before,
                  const std::string& where) {
  for (const auto& item : before.object().items()) {
    if (now.count(item.key()) != 0) continue;
    const std::string began = before.string_or("version", "(unknown)");
    throw Error(
        fmt::format("{}: the run was begun with the option '{}', which this taskneuron ({}) does "
                    "not know; go on "
                    "with {}, which began it, or train into another folder",
                    where, item.key(), version(),
                    began == version() ? "the build of " + began : "version " + began));
  }
  for (const auto& [key, value] : settings_text(now)) {
    const auto found = before.object().find(key);
    const std::string old = found == before.object().end() ? "" : text_of(*found);
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

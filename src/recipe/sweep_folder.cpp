// What a sweep's folder is, and that it is the one that was meant.
#include <fmt/format.h>

#include "base/file.h"
#include "recipe/sweep_parts.h"
#include "recipe/work_folder.h"

namespace taskneuron {

namespace fs = std::filesystem;

namespace {

// What may differ between calls: a cell's own record tells what it was made with.
const std::vector<std::string> kMayGrow = {
    "top",          "arm",         "trained", "seeds",         "alone_seeds", "overlap_control",
    "overlap_task", "overlap_top", "share",   "overlap_seeds", "keep_models", "memory"};

std::map<std::string, Setting> shared_settings(const Session& session, const SweepOptions& given,
                                               const std::vector<SweepTask>& tasks) {
  SweepOptions options = given;
  OptionList list;
  options.declare(list);
  std::map<std::string, Setting> settings = settings_of(list);
  for (const std::string& name : kMayGrow) settings.erase(name);
  const TaskReader reader(session, options.data);
  for (auto& [name, value] : shared_identity(reader)) settings[name] = value;
  std::string trained, others;
  for (const SweepTask& task : tasks) {
    std::string& names = task.trained ? trained : others;
    names += fmt::format("{}{} {}", names.empty() ? "" : ", ", task.name, task_hash(task.folder));
  }
  settings["task"] = trained;
  settings["other_task"] = others;
  settings["scores"] = file_hashes(options.scores);
  return settings;
}

}  // namespace

FolderLock open_sweep_folder(const Session& session, const SweepOptions& options,
                             const std::vector<SweepTask>& tasks) {
  const fs::path folder = options.out;
  FolderLock lock = open_work_folder(
      {folder, "sweep.json", "taskneuron.sweep/1", "sweep", "sweep into another folder"},
      shared_settings(session, options, tasks));
  for (const char* part : {"scores", "sets", "tuning"}) remove_leftovers(folder / part);
  return lock;
}

}  // namespace taskneuron

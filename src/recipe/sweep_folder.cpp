// What a sweep's folder is, and that it is the one that was meant.
#include <fmt/format.h>

#include <algorithm>

#include "base/file.h"
#include "base/sha256.h"
#include "recipe/sweep_parts.h"
#include "recipe/work_folder.h"
#include "taskneuron/base/compute.h"
#include "taskneuron/base/error.h"
#include "taskneuron/base/version.h"

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
  settings["model"] = session.checkpoint().hash();
  settings["dtype"] = std::string(dtype_name(session.decoder().options().dtype));
  settings["template"] = reader.prompt().hash();
  settings["version"] = std::string(version());
  std::string trained, others, scores;
  for (const SweepTask& task : tasks) {
    std::string& names = task.trained ? trained : others;
    names += fmt::format("{}{} {}", names.empty() ? "" : ", ", task.name, task_hash(task.folder));
  }
  for (const std::string& path : options.scores) {
    scores += (scores.empty() ? "" : ", ") + sha256_of_file(path).substr(7, 16);
  }
  settings["task"] = trained;
  settings["other_task"] = others;
  settings["scores"] = scores;
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

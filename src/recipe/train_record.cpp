// What run.json records of a training run, and what a run must share with one that it resumes.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <filesystem>

#include "base/sha256.h"
#include "recipe/train_parts.h"
#include "recipe/work_folder.h"

namespace taskneuron {

namespace {

// Enough of a hash to tell two apart, without its name.
std::string short_hash(const RunInput& input) { return input.hash.substr(7, 16); }

// Of the rows that decide which weights are kept; empty where none do.
std::string validation_hashes(const TrainOptions& options) {
  std::string hashes;
  if (options.patience == 0) return hashes;
  for (const std::string& folder : options.data.tasks) {
    const std::string hash =
        sha256_of_file(split_path(load_task(folder), options.validation_split));
    hashes += (hashes.empty() ? "" : ", ") + short_hash({"", hash, std::nullopt});
  }
  return hashes;
}

}  // namespace

RunInputs inputs_of(const TrainOptions& options, const Session& session) {
  RunInputs inputs;
  // With deltas the model in use is another than the one that was named.
  const std::string hash = session.deltas().empty() ? session.checkpoint().hash()
                                                    : Checkpoint(session.folder().path).hash();
  inputs.model = {session.name(), hash, std::nullopt};
  inputs.deltas = session.deltas();
  for (const std::string& folder : options.data.tasks) {
    const Task task = load_task(folder);
    inputs.tasks.push_back(
        {folder, sha256_of_file(split_path(task, options.data.split)), std::nullopt});
  }
  for (const std::string& path : options.sets) {
    inputs.sets.push_back({path, sha256_of_file(path), std::nullopt});
  }
  return inputs;
}

std::map<std::string, Setting> identity_of(TrainOptions options, const TaskReader& reader,
                                           const Trained& trained, const RunInputs& inputs) {
  OptionList list;
  options.declare(list);
  std::map<std::string, Setting> settings = settings_of(list);
  // Of files, what they hold; of what may be left open, what was chosen.
  for (auto& [name, value] : shared_identity(reader)) settings[name] = value;
  settings["device"] = reader.session().decoder().options().device.str();
  settings["trained"] = trained.name;
  settings["validation_rows"] = validation_hashes(options);
  if (trained.all.part == TrainedPart::kAdapters) {
    settings["lora_alpha"] = trained.all.lora.alpha;
    settings["lora_targets"] = fmt::format("{}", fmt::join(trained.all.lora.targets, " "));
  }
  std::string tasks, sets;
  for (const RunInput& input : inputs.tasks) {
    tasks += fmt::format("{}{} {}", tasks.empty() ? "" : ", ", load_task(input.path).name,
                         short_hash(input));
  }
  for (const RunInput& input : inputs.sets) {
    sets += (sets.empty() ? "" : ", ") + short_hash(input);
  }
  settings["tasks"] = tasks;
  settings["sets"] = sets;
  return settings;
}

}  // namespace taskneuron

#include "cli/train.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cli/provenance.h"
#include "taskneuron/base/compute.h"
#include "taskneuron/base/version.h"

namespace taskneuron::cli {

namespace {

// Enough of a hash to tell two apart, without its name.
std::string short_hash(const RunInput& input) { return input.hash.substr(7, 16); }

}  // namespace

RunInputs inputs_of(const TrainOptions& options, const LoadedModel& model) {
  RunInputs inputs;
  // With deltas the model in use is another than the one that was named.
  const std::string hash = options.model.deltas.empty()
                               ? model.checkpoint().hash()
                               : Checkpoint(find_model(options.model.folder).path).hash();
  inputs.model = {options.model.folder, hash, std::nullopt};
  inputs.deltas = delta_inputs(options.model.deltas);
  for (const std::string& folder : options.data.tasks) {
    const Task task = load_task(folder);
    inputs.tasks.push_back({folder, file_hash(split_path(task, options.data.split)), std::nullopt});
  }
  for (const std::string& path : options.sets) {
    inputs.sets.push_back({path, file_hash(path), std::nullopt});
  }
  return inputs;
}

std::map<std::string, Setting> settings_of(const TrainOptions& options, const LoadedModel& model,
                                           const PromptTemplate& prompt, const Trained& trained,
                                           const TrainerOptions& trainer, const RunInputs& inputs) {
  const DecoderOptions& computed = model.decoder().options();
  std::map<std::string, Setting> settings = {{"model", model.checkpoint().hash()},
                                             {"dtype", std::string(dtype_name(computed.dtype))},
                                             {"device", computed.device.str()},
                                             {"template", prompt.hash()},
                                             {"trained", trained.name},
                                             {"lr", options.learning_rate},
                                             {"schedule", options.schedule},
                                             {"warmup_steps", options.warmup_steps},
                                             {"weight_decay", options.weight_decay},
                                             {"clip", options.clip},
                                             {"steps", trainer.schedule.steps},
                                             {"batch", options.batch},
                                             {"accumulate", options.accumulate},
                                             {"mixing", options.mixing},
                                             {"seed", options.seed},
                                             {"split", options.data.split},
                                             {"limit", options.data.limit},
                                             {"max_length", options.data.max_length},
                                             {"batch_tokens", options.data.batch_tokens},
                                             {"shared_prefix", !options.no_shared_prefix},
                                             {"evaluate", options.evaluate},
                                             {"patience", options.patience},
                                             {"save", options.save},
                                             {"version", std::string(version())}};
  if (options.l2_start > 0) settings["l2_start"] = options.l2_start;
  if (options.patience > 0) {
    settings["validation_split"] = options.validation_split;
    settings["validation_limit"] = options.validation_limit;
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
  if (!sets.empty()) settings["sets"] = sets;
  if (options.lora_rank > 0) {
    settings["lora_rank"] = trained.all.lora.rank;
    settings["lora_alpha"] = trained.all.lora.alpha;
    settings["lora_targets"] = fmt::format("{}", fmt::join(trained.all.lora.targets, " "));
  }
  return settings;
}

}  // namespace taskneuron::cli

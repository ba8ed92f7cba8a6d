#include "recipe/stage_cost.h"

namespace taskneuron {

OutputJson cost_json(const StageCost& cost) {
  OutputJson json = {{"task", cost.task}};
  if (!cost.folder.empty()) json["folder"] = cost.folder;
  json.update({{"detection_seconds", cost.detection_seconds},
               {"training_seconds", cost.training_seconds},
               {"memory_seconds", cost.memory_seconds},
               {"steps", cost.steps},
               {"tokens", cost.tokens},
               {"trained_values", cost.trained_values},
               {"stored_bytes", cost.stored_bytes},
               {"shared_bytes", cost.shared_bytes},
               {"peak_memory_bytes", cost.peak_memory_bytes},
               {"units", cost.units},
               {"claimed_units", cost.claimed_units}});
  return json;
}

StageCost read_cost(const JsonView& json) {
  StageCost cost;
  cost.task = json.at("task").string();
  cost.folder = json.string_or("folder", "");
  cost.detection_seconds = json.at("detection_seconds").number();
  cost.training_seconds = json.at("training_seconds").number();
  cost.memory_seconds = json.at("memory_seconds").number();
  cost.steps = json.at("steps").integer();
  cost.tokens = json.at("tokens").integer();
  cost.trained_values = json.at("trained_values").integer();
  cost.stored_bytes = json.at("stored_bytes").integer();
  cost.shared_bytes = json.at("shared_bytes").integer();
  cost.peak_memory_bytes = json.at("peak_memory_bytes").integer();
  cost.units = json.at("units").integer();
  cost.claimed_units = json.at("claimed_units").integer();
  return cost;
}

}  // namespace taskneuron

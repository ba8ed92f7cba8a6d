#include "recipe/stage_cost.h"

#include "base/plain_name.h"

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

namespace {

double seconds(const JsonView& json, const char* key) {
  const double value = json.at(key).number();
  if (value < 0) json.at(key).fail("is below 0");
  return value;
}

std::int64_t count(const JsonView& json, const char* key) {
  const std::int64_t value = json.at(key).integer();
  if (value < 0) json.at(key).fail("is below 0");
  return value;
}

}  // namespace

StageCost read_cost(const JsonView& json) {
  StageCost cost;
  cost.task = json.at("task").string();
  if (holds_control(cost.task)) json.at("task").fail("holds a control character");
  cost.folder = json.string_or("folder", "");
  cost.detection_seconds = seconds(json, "detection_seconds");
  cost.training_seconds = seconds(json, "training_seconds");
  cost.memory_seconds = seconds(json, "memory_seconds");
  cost.steps = count(json, "steps");
  cost.tokens = count(json, "tokens");
  cost.trained_values = count(json, "trained_values");
  cost.stored_bytes = count(json, "stored_bytes");
  cost.shared_bytes = count(json, "shared_bytes");
  cost.peak_memory_bytes = count(json, "peak_memory_bytes");
  cost.units = count(json, "units");
  cost.claimed_units = count(json, "claimed_units");
  return cost;
}

}  // namespace taskneuron

#include <filesystem>

#include "recipe/ablate_parts.h"
#include "recipe/prediction_json.h"

namespace taskneuron {

AblatePredictions::AblatePredictions(const std::string& folder, const std::string& task,
                                     Existing existing)
    : file_(std::filesystem::path(folder) / (task + ".jsonl"), existing) {}

void AblatePredictions::write(const EvaluatedRow& row, const TaskResult& result) {
  for (const Prediction& prediction : result.predictions) {
    OutputJson json = {{"task", result.task}};
    if (row.condition != nullptr) {
      json["top"] = row.condition->top;
      json["scope"] = row.condition->scope;
      json["mode"] = row.condition->mode_name;
      json["off"] = row.units_of;
      if (row.random) {
        json["random"] = random_kind_name(*row.random);
        json["draw"] = row.draw;
      }
    }
    json.update(prediction_json(prediction, result.metric));
    file_.write(json.dump(-1, ' ', false, OutputJson::error_handler_t::replace) + "\n");
  }
}

}  // namespace taskneuron

#include <filesystem>

#include "evaluate/result_rows.h"
#include "recipe/ablate_parts.h"

namespace taskneuron {

AblatePredictions::AblatePredictions(const std::string& folder, const std::string& task,
                                     Existing existing)
    : file_(std::filesystem::path(folder) / (task + ".jsonl"), existing) {}

void AblatePredictions::write(const EvaluatedRow& row, const TaskResult& result) {
  OutputJson key = {{"task", result.task}};
  if (row.condition != nullptr) {
    key["top"] = row.condition->top;
    key["scope"] = row.condition->scope;
    key["mode"] = row.condition->mode_name;
    key["off"] = row.units_of;
    if (row.random) {
      key["random"] = random_kind_name(*row.random);
      key["draw"] = row.draw;
    }
  }
  write_predictions(file_, key, result);
}

}  // namespace taskneuron

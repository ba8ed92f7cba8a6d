// A task as a folder (docs/formats/task.md).
#include "base/file.h"
#include "base/json.h"
#include "taskneuron/data/import.h"

namespace taskneuron {

namespace fs = std::filesystem;

void save_task(const ImportedTask& imported, const fs::path& path) {
  AtomicFolder folder(path);
  const Task& task = imported.task;
  for (const auto& [split, rows] : imported.splits) {
    std::string lines;
    for (const TaskRow& row : rows) {
      OutputJson json;
      if (row.instruction != task.instruction) json["instruction"] = row.instruction;
      json["input"] = row.input;
      json["output"] = row.output;
      if (row.references.size() > 1) json["references"] = row.references;
      lines += json_text(json) + "\n";
    }
    write_file(folder.temporary() / (split + ".jsonl"), lines);
  }
  OutputJson meta = {
      {"name", task.name},
      {"type", task.type == TaskType::kClassification ? "classification" : "generation"},
      {"metric", task.metric},
      {"instruction", task.instruction}};
  if (!task.labels.empty()) meta["labels"] = task.labels;
  write_file(folder.temporary() / "meta.json", json_text(meta, 1) + "\n");
  folder.commit();
}

}  // namespace taskneuron

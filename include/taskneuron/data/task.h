#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace taskneuron {

enum class TaskType { kClassification, kGeneration };

struct TaskRow {
  std::string instruction;
  std::string input;
  std::string output;
  std::vector<std::string> labels;      // of this row; the task's where the row has none
  std::vector<std::string> references;  // all right outputs; holds at least `output`
  std::int64_t line = 0;                // 1-based, in its file
};

// A task folder (format: docs/formats/task.md): meta.json and one JSONL file per split.
struct Task {
  std::filesystem::path folder;
  std::string name;
  TaskType type = TaskType::kClassification;
  std::string metric;
  std::string instruction;
  std::vector<std::string> labels;  // classification only
};

// Reads meta.json. Throws Error naming file and key.
Task load_task(const std::filesystem::path& folder);
// The same of a text in memory; where: what errors call it. name: where the text has none.
Task parse_task(std::string_view meta_json, const std::string& where, const std::string& name);
// A row of a split, likewise.
TaskRow parse_task_row(std::string_view json, const std::string& where, const Task& task);

// Reads a split's rows, at most `limit` (0: all). Throws Error naming path:line for a row that is
// not valid, a label that is not among the labels, and a file without rows.
std::vector<TaskRow> load_split(const Task& task, const std::string& split, std::int64_t limit = 0);

std::filesystem::path split_path(const Task& task, const std::string& split);

}  // namespace taskneuron

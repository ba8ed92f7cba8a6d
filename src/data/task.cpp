#include "taskneuron/data/task.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <fstream>

#include "base/json.h"
#include "taskneuron/base/error.h"

namespace taskneuron {

namespace fs = std::filesystem;

namespace {

// A line longer than this is no example of anything; it bounds what a hostile file makes us hold.
constexpr std::size_t kMaxLineBytes = 64 << 20;

TaskType parse_type(const JsonView& json) {
  const std::string type = json.string();
  if (type == "classification") return TaskType::kClassification;
  if (type == "generation") return TaskType::kGeneration;
  json.fail(fmt::format("'{}' is unknown; types are classification and generation", type));
}

std::vector<std::string> strings_or_none(const JsonView& json, const std::string& key) {
  const auto field = json.find(key);
  return field ? field->strings() : std::vector<std::string>{};
}

TaskRow parse_row(const JsonView& json, const Task& task) {
  TaskRow row;
  row.instruction = json.string_or("instruction", task.instruction);
  row.input = json.at("input").string();
  row.output = json.at("output").string();
  if (row.output.find_first_not_of(" \t\r\n") == std::string::npos) {
    json.at("output").fail("the answer is empty");
  }
  row.labels = strings_or_none(json, "labels");
  if (row.labels.empty()) row.labels = task.labels;
  row.references = strings_or_none(json, "references");
  if (row.references.empty()) row.references = {row.output};
  if (task.type == TaskType::kClassification) {
    if (row.labels.empty())
      json.fail("a classification row without labels, and meta.json has none");
    if (std::find(row.labels.begin(), row.labels.end(), row.output) == row.labels.end()) {
      json.fail(fmt::format("output '{}' is not among the labels: {}", row.output,
                            fmt::join(row.labels, ", ")));
    }
  }
  return row;
}

}  // namespace

Task load_task(const fs::path& folder) {
  if (!fs::is_directory(folder)) {
    throw Error(
        fmt::format("{}: no such task folder; expected a folder with meta.json and "
                    "train.jsonl, validation.jsonl or test.jsonl",
                    folder.string()));
  }
  const fs::path meta = folder / "meta.json";
  const Json document = read_json(meta);
  const JsonView json(document, meta.string());
  Task task;
  task.folder = folder;
  task.name = json.string_or("name", folder.filename().string());
  task.type = parse_type(json.at("type"));
  task.metric =
      json.string_or("metric", task.type == TaskType::kClassification ? "accuracy" : "rougeL");
  task.instruction = json.string_or("instruction", "");
  task.labels = strings_or_none(json, "labels");
  return task;
}

fs::path split_path(const Task& task, const std::string& split) {
  return task.folder / (split + ".jsonl");
}

std::vector<TaskRow> load_split(const Task& task, const std::string& split, std::int64_t limit) {
  const fs::path path = split_path(task, split);
  std::ifstream lines(path, std::ios::binary);
  if (!lines || !fs::is_regular_file(path)) {
    throw Error(fmt::format("{}: cannot be opened; task '{}' has no split '{}'", path.string(),
                            task.name, split));
  }
  std::vector<TaskRow> rows;
  std::int64_t number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    const std::string where = fmt::format("{}:{}", path.string(), number);
    if (line.size() > kMaxLineBytes) {
      throw Error(fmt::format("{}: a line of {} bytes; at most {} are read", where, line.size(),
                              kMaxLineBytes));
    }
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    const Json document = parse_json(line, where);
    rows.push_back(parse_row(JsonView(document, where), task));
    rows.back().line = number;
    if (limit > 0 && static_cast<std::int64_t>(rows.size()) >= limit) break;
  }
  if (rows.empty()) throw Error(fmt::format("{}: holds no rows", path.string()));
  return rows;
}

}  // namespace taskneuron

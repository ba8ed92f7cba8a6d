#include "taskneuron/data/task.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "base/file.h"
#include "base/json.h"
#include "base/plain_name.h"
#include "taskneuron/base/error.h"

namespace taskneuron {

namespace fs = std::filesystem;

namespace {

TaskType parse_type(const JsonView& json) {
  const std::string type = json.string();
  if (type == "classification") return TaskType::kClassification;
  if (type == "generation") return TaskType::kGeneration;
  json.fail(fmt::format("'{}' is unknown; types are classification and generation", type));
}

// Results of a task are written below its name.
std::string file_name(const JsonView& json, const std::string& fallback) {
  const auto given = json.find("name");
  std::string name = given ? given->string() : fallback;
  const std::string problem = problem_of_name(name);
  if (!problem.empty()) {
    (given ? *given : json).fail(fmt::format("the task's name '{}' {}", name, problem));
  }
  return name;
}

// Of those that such tasks are scored by (evaluate/metric.h); the first by default.
std::string metric_in(const JsonView& json, TaskType type) {
  const std::vector<std::string> known =
      type == TaskType::kClassification
          ? std::vector<std::string>{"accuracy", "exact match"}
          : std::vector<std::string>{"rougeL", "rougeL-stem", "exact match"};
  std::string metric = json.string_or("metric", known.front());
  if (std::find(known.begin(), known.end(), metric) == known.end()) {
    json.at("metric").fail(
        fmt::format("'{}' scores no task of this type; use {}", metric, fmt::join(known, ", ")));
  }
  return metric;
}

std::vector<std::string> strings_or_none(const JsonView& json, const std::string& key) {
  const auto field = json.find(key);
  return field ? field->strings() : std::vector<std::string>{};
}

// Each once and none empty: of equal ones none could be told to be the right one.
std::vector<std::string> labels_of(const JsonView& json) {
  const std::vector<std::string> labels = strings_or_none(json, "labels");
  std::set<std::string> known;
  for (const std::string& label : labels) {
    if (label.find_first_not_of(" \t\r\n") == std::string::npos) {
      json.at("labels").fail("holds an empty label");
    }
    if (!known.insert(label).second) {
      json.at("labels").fail(fmt::format("holds '{}' twice", label));
    }
  }
  return labels;
}

TaskRow parse_row(const JsonView& json, const Task& task) {
  TaskRow row;
  row.instruction = json.string_or("instruction", task.instruction);
  row.input = json.at("input").string();
  row.output = json.at("output").string();
  if (row.output.find_first_not_of(" \t\r\n") == std::string::npos) {
    json.at("output").fail("the answer is empty");
  }
  row.labels = labels_of(json);
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

Task parse_task(std::string_view meta_json, const std::string& where, const std::string& name) {
  const Json document = parse_json(meta_json, where);
  const JsonView json(document, where);
  Task task;
  task.name = file_name(json, name);
  task.type = parse_type(json.at("type"));
  task.metric = metric_in(json, task.type);
  task.instruction = json.string_or("instruction", "");
  task.labels = labels_of(json);
  return task;
}

TaskRow parse_task_row(std::string_view json, const std::string& where, const Task& task) {
  const Json document = parse_json(json, where);
  return parse_row(JsonView(document, where), task);
}

Task load_task(const fs::path& folder) {
  if (!fs::is_directory(folder)) {
    throw Error(
        fmt::format("{}: no such task folder; expected a folder with meta.json and "
                    "train.jsonl, validation.jsonl or test.jsonl",
                    folder.string()));
  }
  const fs::path whole = fs::absolute(folder).lexically_normal();
  const fs::path meta = folder / "meta.json";
  Task task = parse_task(read_file(meta), meta.string(),
                         (whole.has_filename() ? whole : whole.parent_path()).filename().string());
  task.folder = folder;
  return task;
}

fs::path split_path(const Task& task, const std::string& split) {
  return task.folder / (split + ".jsonl");
}

std::vector<TaskRow> load_split(const Task& task, const std::string& split, std::int64_t limit) {
  const fs::path path = split_path(task, split);
  if (!fs::exists(path)) {
    throw Error(fmt::format("{}: is not there; task '{}' has no split '{}'", path.string(),
                            task.name, split));
  }
  LineReader lines(path);
  std::vector<TaskRow> rows;
  for (std::string line; lines.next(line);) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    rows.push_back(parse_task_row(line, lines.where(), task));
    rows.back().line = lines.number();
    if (limit > 0 && static_cast<std::int64_t>(rows.size()) >= limit) break;
  }
  if (rows.empty()) throw Error(fmt::format("{}: holds no rows", path.string()));
  return rows;
}

}  // namespace taskneuron

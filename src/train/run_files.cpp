#include "train/run_files.h"

#include <fmt/format.h>

#include "base/file.h"
#include "evaluate/result_rows.h"
#include "taskneuron/base/error.h"
#include "taskneuron/base/version.h"

namespace taskneuron {

namespace fs = std::filesystem;

namespace {

// The row's step; -1 for a line that a kill cut short, which belongs to nothing.
std::int64_t step_of(const Json& row) {
  if (!row.is_object() || !row.contains("step") || !row["step"].is_number_integer()) return -1;
  return row["step"].get<std::int64_t>();
}

Json parse_line(const std::string& line) {
  return Json::parse(line, nullptr, /*allow_exceptions=*/false);
}

OutputJson input_json(const RunInput& input) {
  OutputJson json = {{"path", input.path}, {"hash", input.hash}};
  if (input.scale) json["scale"] = *input.scale;
  return json;
}

OutputJson list_json(const std::vector<RunInput>& inputs) {
  OutputJson list = OutputJson::array();
  for (const RunInput& input : inputs) list.push_back(input_json(input));
  return list;
}

// A setting as JSON holds it, as its owner wrote it on the command line.
std::string text_of(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number_float()) return fmt::format("{}", value.get<double>());
  return value.is_null() ? "" : value.dump();
}

}  // namespace

StepLog::StepLog(const fs::path& path, std::int64_t last_step) : path_(path) {
  std::string kept;
  if (fs::exists(path)) {
    LineReader old(path);
    for (std::string line; old.next(line);) {
      const std::int64_t step = step_of(parse_line(line));
      if (step >= 0 && step <= last_step) kept += line + "\n";
    }
  }
  write_file(path, kept);
  stream_.open(path, std::ios::app);
}

void StepLog::add(const OutputJson& row) {
  stream_ << json_text(row) << "\n" << std::flush;
  if (!stream_) {
    throw Error(fmt::format("{}: cannot be written; is the disk full?", path_.string()));
  }
}

OutputJson evaluation_row(std::int64_t step, const TaskResult& result) {
  OutputJson row = {{"step", step}};
  row.update(result_row(result));
  return row;
}

std::vector<TaskResult> read_evaluation(const fs::path& path, std::int64_t step) {
  std::vector<TaskResult> results;
  if (!fs::exists(path)) return results;
  LineReader lines(path);
  for (std::string line; lines.next(line);) {
    const Json document = parse_line(line);
    if (step_of(document) != step) continue;
    results.push_back(read_result_row(JsonView(document, path.string())));
  }
  return results;
}

OutputJson settings_json(const std::map<std::string, Setting>& settings) {
  OutputJson json = OutputJson::object();
  for (const auto& [key, setting] : settings) {
    std::visit([&, &name = key](const auto& value) { json[name] = value; }, setting);
  }
  return json;
}

std::map<std::string, std::string> settings_text(const std::map<std::string, Setting>& settings) {
  std::map<std::string, std::string> text;
  for (const auto& [key, setting] : settings) {
    text[key] = std::visit([](const auto& value) { return fmt::format("{}", value); }, setting);
  }
  return text;
}

OutputJson inputs_json(const RunInputs& inputs) {
  return {{"model", input_json(inputs.model)},
          {"deltas", list_json(inputs.deltas)},
          {"tasks", list_json(inputs.tasks)},
          {"sets", list_json(inputs.sets)}};
}

void require_same_settings(const std::map<std::string, Setting>& now, const JsonView& before,
                           const std::string& where, const std::string& otherwise) {
  for (const auto& item : before.object().items()) {
    if (now.count(item.key()) != 0) continue;
    const std::string began = before.string_or("version", "(unknown)");
    throw Error(
        fmt::format("{}: the run was begun with the option '{}', which this taskneuron ({}) does "
                    "not know; go on "
                    "with {}, which began it, or {}",
                    where, item.key(), version(),
                    began == version() ? "the build of " + began : "version " + began, otherwise));
  }
  for (const auto& [key, value] : settings_text(now)) {
    const auto found = before.object().find(key);
    const std::string old = found == before.object().end() ? "" : text_of(*found);
    if (old == value) continue;
    throw Error(
        fmt::format("{}: cannot be resumed with another {}: it was '{}', now it is '{}'; "
                    "give the same settings, or {}",
                    where, key, old, value, otherwise));
  }
}

}  // namespace taskneuron

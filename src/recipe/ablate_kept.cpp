#include <fmt/format.h>

#include <algorithm>

#include "base/json.h"
#include "base/plain_name.h"
#include "base/world.h"
#include "evaluate/result_rows.h"
#include "recipe/ablate_parts.h"
#include "recipe/work_folder.h"
#include "taskneuron/base/error.h"

namespace taskneuron {

namespace fs = std::filesystem;

namespace {

constexpr const char* kTasksFolder = "tasks";
constexpr const char* kTextFolder = "text";
constexpr std::size_t kMostBytes = std::size_t{1} << 34;  // of one evaluation's rows

// What every evaluation depends on.
std::map<std::string, Setting> identity_of(const TaskReader& reader, const AblateOptions& given) {
  AblateOptions options = given;
  OptionList list;
  options.declare(list);
  std::map<std::string, Setting> settings = settings_of(list);
  settings.erase("memory");  // the result does not depend on how batches are made to fit
  for (auto& [name, value] : shared_identity(reader)) settings[name] = value;
  std::string tasks;
  for (const std::string& folder : given.data.tasks) {
    tasks += fmt::format("{}{} {}", tasks.empty() ? "" : ", ", load_task(folder).name,
                         task_hash(folder));
  }
  settings["task"] = tasks;
  settings["scores"] = file_hashes(given.scores);
  if (!given.text.empty()) settings["text"] = file_hashes({given.text});
  return settings;
}

FolderLock opened(const fs::path& folder, const TaskReader& reader, const AblateOptions& options) {
  FolderLock lock = open_work_folder(
      {folder, "ablation.json", "taskneuron.ablation/1", "ablation", "keep it in another folder"},
      identity_of(reader, options));
  for (const char* part : {kTasksFolder, kTextFolder}) {
    if (!fs::exists(folder / part)) continue;
    remove_leftovers(folder / part);
    for (const auto& entry : fs::recursive_directory_iterator(folder / part)) {
      if (entry.is_directory()) remove_leftovers(entry.path());
    }
  }
  return lock;
}

// "original", or the condition and whose units are off.
fs::path name_of(const EvaluatedRow& row) {
  if (row.condition == nullptr) return "original";
  if (const std::string problem = problem_of_name(row.units_of); !problem.empty()) {
    throw Error(
        fmt::format("the scores of '{}' can't be kept: its name {}", shown(row.units_of), problem));
  }
  const Condition& condition = *row.condition;
  std::string name = row.units_of;
  if (row.random) name += fmt::format(", {} {}", random_kind_name(*row.random), row.draw);
  return fs::path(fmt::format("{}, {}, {}", condition.top, condition.scope, condition.mode_name)) /
         name;
}

// What rank 0 finds there; "" where there is nothing.
std::string content_of(const fs::path& path) {
  std::error_code unreadable;
  const bool reads = world().rank() == 0 && fs::exists(path, unreadable);
  return world().broadcast(reads ? read_file(path, kMostBytes) : "");
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return lines;
}

std::vector<Prediction> read_rows(const std::string& text, const std::string& where) {
  std::vector<Prediction> rows;
  for (const std::string& line : lines_of(text)) {
    const Json document = parse_json(line, where);
    const JsonView row(document, where);
    Prediction& prediction = rows.emplace_back(read_prediction_row(row));
    prediction.prediction = row.at("prediction").string();
    prediction.reference = row.at("reference").string();
  }
  return rows;
}

}  // namespace

KeptEvaluations::KeptEvaluations(const TaskReader& reader, const AblateOptions& options)
    : folder_(options.keep), lock_(opened(folder_, reader, options)) {}

fs::path KeptEvaluations::task_path(const std::string& task, const EvaluatedRow& row) const {
  fs::path path = folder_ / kTasksFolder / task / name_of(row);
  return path += ".jsonl";
}

fs::path KeptEvaluations::text_path(const EvaluatedRow& row) const {
  fs::path path = folder_ / kTextFolder / name_of(row);
  return path += ".json";
}

std::optional<TaskResult> KeptEvaluations::find(const TaskEvaluation& evaluation,
                                                const std::string& task,
                                                const EvaluatedRow& row) const {
  const fs::path path = task_path(task, row);
  const std::string content = content_of(path);
  if (content.empty()) return {};
  try {
    return evaluation.result_of(read_rows(content, path.string()), path.string());
  } catch (const Error&) {
    return {};  // a file that something else cut short or wrote
  }
}

void KeptEvaluations::keep(const EvaluatedRow& row, const TaskResult& result) const {
  AtomicFile file(task_path(result.task, row));
  write_predictions(file, OutputJson::object(), result);
  file.commit();
}

std::optional<double> KeptEvaluations::find_perplexity(const EvaluatedRow& row) const {
  const fs::path path = text_path(row);
  const std::string content = content_of(path);
  if (content.empty()) return {};
  try {
    const Json document = parse_json(content, path.string());
    const double perplexity = JsonView(document, path.string()).at("perplexity").number();
    if (perplexity >= 1) return perplexity;
    return {};
  } catch (const Error&) {
    return {};
  }
}

void KeptEvaluations::keep_perplexity(const EvaluatedRow& row, double perplexity) const {
  write_file(text_path(row), json_text({{"perplexity", perplexity}}, 1) + "\n");
}

}  // namespace taskneuron

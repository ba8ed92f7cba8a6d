#include "taskneuron/data/import.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <sstream>

#include "base/file.h"
#include "base/json.h"
#include "data/csv.h"
#include "taskneuron/base/error.h"
#include "taskneuron/base/random.h"
#include "text/unicode.h"

namespace taskneuron {

namespace fs = std::filesystem;

namespace {

using Rows = std::vector<TaskRow>;

// A JSON list, or JSON lines: each item with the place that errors name.
struct Document {
  Json value;
  std::string where;
};

// Python writes numbers that JSON does not have (a field of Super-NaturalInstructions may be NaN).
// None of them is in a field that we read: they become null.
std::string without_python_numbers(const std::string& text) {
  std::string result;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string && c == '\\' && i + 1 < text.size()) {
      result += c;
      result += text[++i];
      continue;
    }
    if (c == '"') in_string = !in_string;
    bool replaced = false;
    for (const char* word : {"NaN", "Infinity", "-Infinity"}) {
      const std::size_t length = std::char_traits<char>::length(word);
      if (in_string || text.compare(i, length, word) != 0) continue;
      result += "null";
      i += length - 1;
      replaced = true;
      break;
    }
    if (!replaced) result += c;
  }
  return result;
}

std::vector<Document> read_records(const fs::path& path) {
  const std::string text = without_python_numbers(read_file(path));
  std::vector<Document> records;
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first != std::string::npos && text[first] == '[') {
    const Json list = parse_json(text, path.string());
    for (std::size_t i = 0; i < list.size(); ++i) {
      records.push_back({list[i], fmt::format("{}[{}]", path.string(), i)});
    }
    return records;
  }
  std::istringstream lines(text);
  std::int64_t number = 0;
  for (std::string line; std::getline(lines, line);) {
    const std::string where = fmt::format("{}:{}", path.string(), ++number);
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    records.push_back({parse_json(line, where), where});
  }
  return records;
}

TaskRow make_row(std::string instruction, std::string input, std::vector<std::string> outputs,
                 const std::string& where) {
  if (outputs.empty() || outputs[0].empty())
    throw Error(fmt::format("{}: the answer is empty", where));
  TaskRow row;
  row.instruction = std::move(instruction);
  row.input = std::move(input);
  row.output = outputs[0];
  row.references = std::move(outputs);
  return row;
}

bool looks_like_classification(const std::map<std::string, Rows>& splits) {
  constexpr std::size_t kMostLabels = 30;
  std::set<std::string> outputs;
  std::size_t rows = 0;
  for (const auto& item : splits) {
    for (const TaskRow& row : item.second) {
      outputs.insert(row.output);
      ++rows;
      if (row.references.size() > 1) return false;
    }
  }
  return outputs.size() >= 2 && outputs.size() <= kMostLabels && rows >= 5 * outputs.size();
}

// Cuts rows into splits so that equal inputs stay together: unique inputs are shuffled by seed.
std::map<std::string, Rows> split_rows(const Rows& rows, const ImportOptions& options) {
  std::map<std::string, std::vector<std::size_t>> by_input;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    by_input[rows[i].instruction + '\0' + rows[i].input].push_back(i);
  }
  std::vector<std::vector<std::size_t>> groups;
  for (auto& item : by_input) groups.push_back(std::move(item.second));
  Random(options.seed, "import splits").shuffle(groups);
  const auto target = [&](double share) {
    return static_cast<std::size_t>(std::floor(share * static_cast<double>(groups.size())));
  };
  const std::size_t test = target(options.test_share);
  const std::size_t validation = target(options.validation_share);
  std::map<std::string, std::vector<std::size_t>> chosen;
  for (std::size_t g = 0; g < groups.size(); ++g) {
    const char* split = g < test ? "test" : g < test + validation ? "validation" : "train";
    chosen[split].insert(chosen[split].end(), groups[g].begin(), groups[g].end());
  }
  std::map<std::string, Rows> splits;
  for (auto& [split, numbers] : chosen) {
    std::sort(numbers.begin(), numbers.end());
    for (const std::size_t i : numbers) splits[split].push_back(rows[i]);
  }
  return splits;
}

// Fills in what follows from the rows: type, metric, labels.
ImportedTask finish(std::map<std::string, Rows> splits, std::vector<std::string> labels,
                    const fs::path& path, const ImportOptions& options) {
  ImportedTask result;
  result.splits = std::move(splits);
  result.task.name = options.name.empty() ? path.stem().string() : options.name;
  if (result.splits.empty()) throw Error(fmt::format("{}: holds no rows", path.string()));
  const bool classification = options.type
                                  ? *options.type == TaskType::kClassification
                                  : !labels.empty() || looks_like_classification(result.splits);
  result.task.type = classification ? TaskType::kClassification : TaskType::kGeneration;
  result.task.metric = classification ? "accuracy" : "rougeL";
  if (classification && labels.empty()) {
    std::set<std::string> outputs;
    for (const auto& item : result.splits) {
      for (const TaskRow& row : item.second) outputs.insert(row.output);
    }
    labels.assign(outputs.begin(), outputs.end());
  }
  if (classification) result.task.labels = std::move(labels);
  std::set<std::string> instructions;
  for (const auto& item : result.splits) {
    for (const TaskRow& row : item.second) instructions.insert(row.instruction);
  }
  if (instructions.size() == 1) result.task.instruction = *instructions.begin();
  return result;
}

std::vector<ImportedTask> import_superni(const fs::path& path, const ImportOptions& options) {
  const Json document = parse_json(without_python_numbers(read_file(path)), path.string());
  const JsonView json(document, path.string());
  const JsonView definition = json.at("Definition");
  const std::string instruction = definition.value().is_array()
                                      ? fmt::format("{}", fmt::join(definition.strings(), "\n"))
                                      : definition.string();
  Rows rows;
  for (const JsonView& instance : json.at("Instances").array()) {
    const JsonView output = instance.at("output");
    rows.push_back(make_row(
        instruction, instance.at("input").string(),
        output.value().is_array() ? output.strings() : std::vector<std::string>{output.string()},
        instance.where()));
  }
  return {finish(split_rows(rows, options), {}, path, options)};
}

Rows read_olora_rows(const fs::path& path, const ImportOptions& options) {
  Rows rows;
  for (const Document& record : read_records(path)) {
    const JsonView json(record.value, record.where);
    rows.push_back(make_row(options.instruction, json.at("sentence").string(),
                            {json.at("label").string()}, record.where));
  }
  return rows;
}

ImportedTask import_olora_folder(const fs::path& folder, const ImportOptions& options) {
  std::map<std::string, Rows> splits;
  for (const auto& [file, split] :
       {std::pair{"train.json", "train"}, std::pair{"dev.json", "validation"},
        std::pair{"test.json", "test"}}) {
    if (fs::exists(folder / file)) splits[split] = read_olora_rows(folder / file, options);
  }
  const Json labels = read_json(folder / "labels.json");
  return finish(std::move(splits), JsonView(labels, (folder / "labels.json").string()).strings(),
                folder, options);
}

std::vector<ImportedTask> import_olora(const fs::path& path, const ImportOptions& options) {
  if (!fs::is_directory(path)) {
    throw Error(
        fmt::format("{}: format olora reads a folder with train.json and labels.json, or "
                    "one above such folders",
                    path.string()));
  }
  std::set<fs::path> folders;
  if (fs::exists(path / "labels.json")) folders.insert(path);
  for (const auto& entry : fs::recursive_directory_iterator(path)) {
    if (entry.path().filename() == "labels.json") folders.insert(entry.path().parent_path());
  }
  if (folders.empty()) {
    throw Error(fmt::format("{}: no folder with labels.json in it", path.string()));
  }
  std::vector<ImportedTask> tasks;
  for (const fs::path& folder : folders) tasks.push_back(import_olora_folder(folder, options));
  return tasks;
}

std::vector<ImportedTask> import_alpaca(const fs::path& path, const ImportOptions& options) {
  Rows rows;
  for (const Document& record : read_records(path)) {
    const JsonView json(record.value, record.where);
    rows.push_back(make_row(json.at("instruction").string(), json.string_or("input", ""),
                            {json.at("output").string()}, record.where));
  }
  return {finish(split_rows(rows, options), {}, path, options)};
}

Rows read_trace_rows(const fs::path& path, const ImportOptions& options) {
  Rows rows;
  for (const Document& record : read_records(path)) {
    const JsonView json(record.value, record.where);
    rows.push_back(make_row(options.instruction, json.at("prompt").string(),
                            {json.at("answer").string()}, record.where));
  }
  return rows;
}

std::vector<ImportedTask> import_trace(const fs::path& path, const ImportOptions& options) {
  if (!fs::is_directory(path)) {
    return {finish(split_rows(read_trace_rows(path, options), options), {}, path, options)};
  }
  std::map<std::string, Rows> splits;
  for (const auto& [file, split] :
       {std::pair{"train.json", "train"}, std::pair{"eval.json", "validation"},
        std::pair{"test.json", "test"}}) {
    if (fs::exists(path / file)) splits[split] = read_trace_rows(path / file, options);
  }
  return {finish(std::move(splits), {}, path, options)};
}

// The column that stands for one of our fields, by `column` or by the field's own name.
std::string column_of(const ImportOptions& options, const std::string& field) {
  const auto found = options.columns.find(field);
  return found == options.columns.end() ? field : found->second;
}

bool is_named(const ImportOptions& options, const std::string& field) {
  return options.columns.count(field) != 0;
}

[[noreturn]] void missing_column(const std::string& where, const std::string& column,
                                 const std::vector<std::string>& there) {
  throw Error(fmt::format("{}: no column '{}'; there are {} (name yours with `column` input=NAME)",
                          where, column, fmt::join(there, ", ")));
}

// A file that is cut at another character would be one column, or broken at its first quote.
void require_delimiter(const std::string& text, const fs::path& path, char delimiter) {
  const char likely = likely_delimiter(text);
  if (likely == '\0' || likely == delimiter ||
      text.substr(0, text.find('\n')).find(delimiter) != std::string::npos) {
    return;
  }
  throw Error(
      fmt::format("{}:1: no '{}' in the header, whose fields seem to be separated by {}; give "
                  "`delimiter` {}",
                  path.string(), delimiter == '\t' ? std::string("tab") : std::string(1, delimiter),
                  likely == '\t' ? "tabs" : fmt::format("'{}'", likely),
                  likely == '\t' ? "tab" : fmt::format("'{}'", likely)));
}

std::vector<ImportedTask> import_csv(const fs::path& path, const ImportOptions& options) {
  const std::string text = read_file(path);
  if (!is_valid_utf8(text)) throw Error(fmt::format("{}: is not valid UTF-8", path.string()));
  require_delimiter(text, path, options.delimiter);
  const std::vector<CsvRow> table = parse_csv(text, path.string(), options.delimiter);
  if (table.empty()) throw Error(fmt::format("{}: holds no rows", path.string()));
  const std::vector<std::string>& header = table[0].fields;
  const auto index_of = [&](const std::string& field, bool required) -> std::ptrdiff_t {
    const std::string column = column_of(options, field);
    const auto found = std::find(header.begin(), header.end(), column);
    if (found != header.end()) return found - header.begin();
    if (required || is_named(options, field)) {
      missing_column(fmt::format("{}:1", path.string()), column, header);
    }
    return -1;
  };
  const auto input = index_of("input", true), output = index_of("output", true);
  const auto instruction = index_of("instruction", false);
  Rows rows;
  for (std::size_t i = 1; i < table.size(); ++i) {
    const std::string where = fmt::format("{}:{}", path.string(), table[i].line);
    if (table[i].fields.size() != header.size()) {
      throw Error(fmt::format("{}: {} fields, the header has {}", where, table[i].fields.size(),
                              header.size()));
    }
    const auto field = [&](std::ptrdiff_t k) {
      return table[i].fields[static_cast<std::size_t>(k)];
    };
    rows.push_back(make_row(instruction < 0 ? options.instruction : field(instruction),
                            field(input), {field(output)}, where));
  }
  return {finish(split_rows(rows, options), {}, path, options)};
}

std::string text_of(const JsonView& json) {
  // Labels are often numbers.
  return json.value().is_number() || json.value().is_boolean() ? json.value().dump()
                                                               : json.string();
}

std::vector<ImportedTask> import_jsonl(const fs::path& path, const ImportOptions& options) {
  Rows rows;
  for (const Document& record : read_records(path)) {
    const JsonView json(record.value, record.where);
    const auto field = [&](const std::string& name) {
      const std::string column = column_of(options, name);
      const auto value = json.find(column);
      if (!value) {
        std::vector<std::string> there;
        for (const auto& item : json.object().items()) there.push_back(item.key());
        missing_column(record.where, column, there);
      }
      return text_of(*value);
    };
    const bool own_instruction =
        is_named(options, "instruction") || json.find("instruction").has_value();
    std::string instruction = own_instruction ? field("instruction") : options.instruction;
    std::string input = field("input");
    rows.push_back(
        make_row(std::move(instruction), std::move(input), {field("output")}, record.where));
  }
  return {finish(split_rows(rows, options), {}, path, options)};
}

struct Format {
  const char* name;
  std::vector<ImportedTask> (*import)(const fs::path&, const ImportOptions&);
};
constexpr Format kFormats[] = {
    {"superni", import_superni}, {"olora", import_olora}, {"alpaca", import_alpaca},
    {"trace", import_trace},     {"csv", import_csv},     {"jsonl", import_jsonl},
};

}  // namespace

std::vector<std::string> import_formats() {
  std::vector<std::string> names;
  for (const Format& format : kFormats) names.emplace_back(format.name);
  return names;
}

std::vector<ImportedTask> import_tasks(const fs::path& path, const std::string& format,
                                       const ImportOptions& options) {
  if (!fs::exists(path)) throw Error(fmt::format("{}: is not there", path.string()));
  for (const Format& known : kFormats) {
    if (format == known.name) return known.import(path, options);
  }
  throw UsageError("format", format, fmt::format("{}", fmt::join(import_formats(), ", ")));
}

}  // namespace taskneuron

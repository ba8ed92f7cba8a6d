#include <fmt/format.h>
#include <fmt/ranges.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <filesystem>

#include "base/file.h"
#include "base/plain_name.h"
#include "cli/command.h"
#include "taskneuron/base/error.h"
#include "taskneuron/base/progress.h"
#include "taskneuron/data/import.h"
#include "taskneuron/recipe/locate_model.h"

namespace taskneuron::cli {

namespace {

struct ImportCommand {
  CommonOptions common;
  ImportOptions options;
  std::string path;
  std::string format;
  std::string out;
  std::string type;
  std::vector<std::string> columns;
  std::string delimiter = ",";

  void declare(OptionList& list);
};

void ImportCommand::declare(OptionList& list) {
  list.add("path", &path, Effect::kInput, "File or folder to import").positional().required();
  list.add("format", &format, Effect::kResult, fmt::format("{}", fmt::join(import_formats(), ", ")))
      .required();
  list.add("out", &out, Effect::kNone,
           "Task folder, which must not exist; the one above for several tasks")
      .required();
  list.add("name", &options.name, Effect::kResult, "Name of the task; default: the file's");
  list.add("type", &type, Effect::kResult,
           "classification or generation; default: classification if outputs repeat");
  list.add("instruction", &options.instruction, Effect::kResult,
           "For sources that carry no instruction");
  list.add("column", &columns, Effect::kResult,
           "csv, jsonl: input=NAME, output=NAME, instruction=NAME");
  list.add("delimiter", &delimiter, Effect::kResult,
           "csv: what stands between fields, one character or tab");
  list.add("validation", &options.validation_share, Effect::kResult,
           "Share of rows for validation, where the source has no splits")
      .between(0, 1);
  list.add("test", &options.test_share, Effect::kResult, "Likewise for test").between(0, 1);
  list.add("seed", &options.seed, Effect::kResult, "Seed of the splits");
}

struct ShowCommand {
  CommonOptions common;
  std::string model;
  RowOptions data;

  void declare(OptionList& list) {
    list.add("model", &model, Effect::kInput,
             fmt::format("{}: its tokenizer and context", kModelHelp))
        .positional()
        .required();
    data.declare(list);
  }
};

void parse_columns(ImportCommand& command) {
  for (const std::string& pair : command.columns) {
    const std::size_t equals = pair.find('=');
    const std::string field = pair.substr(0, equals);
    if (equals == std::string::npos ||
        (field != "input" && field != "output" && field != "instruction")) {
      throw UsageError("column", pair, "input=NAME, output=NAME or instruction=NAME",
                       "names no field of a task");
    }
    command.options.columns[field] = pair.substr(equals + 1);
  }
  if (command.type == "classification") command.options.type = TaskType::kClassification;
  if (command.type == "generation") command.options.type = TaskType::kGeneration;
  if (!command.type.empty() && !command.options.type) {
    throw UsageError("type", command.type, "classification or generation");
  }
  if (command.delimiter == "tab" || command.delimiter == "\\t") command.delimiter = "\t";
  if (command.delimiter.size() != 1 || command.delimiter.find_first_of("\"\r\n") == 0) {
    throw UsageError("delimiter", command.delimiter, "one character, such as ';', or tab",
                     "cannot stand between fields");
  }
  command.options.delimiter = command.delimiter[0];
  if (command.options.validation_share + command.options.test_share >= 1) {
    throw UsageError("`validation` and `test` leave no rows to train on");
  }
}

// Where each task goes: --out itself, or a folder in it for each of several. All can be written.
std::vector<std::filesystem::path> import_folders(const ImportCommand& command,
                                                  const std::vector<ImportedTask>& tasks) {
  std::vector<std::filesystem::path> folders;
  for (const ImportedTask& task : tasks) {
    std::filesystem::path folder = command.out;
    if (tasks.size() > 1) folder /= task.task.name;
    if (std::find(folders.begin(), folders.end(), folder) != folders.end()) {
      throw Error(fmt::format("{}: two of the tasks have this name; import them one by one",
                              folder.string()));
    }
    require_new_folder(folder);
    folders.push_back(folder);
  }
  return folders;
}

void note_without_instruction(const ImportCommand& command,
                              const std::vector<ImportedTask>& tasks) {
  if (command.format == "trace") return;  // its prompts hold the instruction
  for (const ImportedTask& task : tasks) {
    std::size_t rows = 0, without = 0;
    for (const auto& item : task.splits) {
      rows += item.second.size();
      for (const TaskRow& row : item.second) without += row.instruction.empty() ? 1 : 0;
    }
    if (without == 0) continue;
    note(
        fmt::format("{}: {} of {} rows have no instruction; their prompts hold the input alone "
                    "(--instruction TEXT gives one)",
                    task.task.name, without, rows));
  }
}

void run_import(ImportCommand& command) {
  command.common.apply();
  parse_columns(command);
  const std::vector<ImportedTask> tasks =
      import_tasks(command.path, command.format, command.options);
  const std::vector<std::filesystem::path> folders = import_folders(command, tasks);
  note_without_instruction(command, tasks);
  OutputJson json = OutputJson::array();
  Table table({"task", "type", "labels", "train", "validation", "test", "folder"});
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    const ImportedTask& task = tasks[i];
    const std::filesystem::path& folder = folders[i];
    save_task(task, folder);
    const bool classification = task.task.type == TaskType::kClassification;
    const auto rows = [&](const char* split) {
      const auto found = task.splits.find(split);
      return found == task.splits.end() ? std::size_t{0} : found->second.size();
    };
    json.push_back({{"task", task.task.name},
                    {"type", classification ? "classification" : "generation"},
                    {"labels", task.task.labels},
                    {"train", rows("train")},
                    {"validation", rows("validation")},
                    {"test", rows("test")},
                    {"out", folder.string()}});
    table.add({task.task.name, classification ? "classification" : "generation",
               std::to_string(task.task.labels.size()), std::to_string(rows("train")),
               std::to_string(rows("validation")), std::to_string(rows("test")), folder.string()});
  }
  if (!command.common.json) return table.print();
  print_json(json.size() == 1 ? json[0] : json);
}

void run_show(const ShowCommand& command) {
  command.common.apply();
  const ModelFolder model = locate_model(command.model);
  const Tokenizer tokenizer(model.path);
  const PromptTemplate prompt = command.data.find_template(tokenizer.chat_template());
  const ModelConfig config = read_model_config(model.path / "config.json");
  const std::int64_t end = end_of_sequence_of(tokenizer, config, command.model);
  const ExampleEncoder encoder(tokenizer, prompt,
                               {context_of(config, command.data.max_length), end});
  OutputJson json = OutputJson::array();
  for (const std::string& folder : command.data.tasks) {
    const Task task = load_task(folder);
    for (const TaskRow& row : load_split(task, command.data.split, command.data.limit)) {
      const std::string where =
          fmt::format("{}:{}", split_path(task, command.data.split).string(), row.line);
      const AnswerExample example = encoder.encode(row, where);
      const PromptFields fields{row.instruction, row.input, row.output};
      json.push_back({{"where", where},
                      {"prompt", prompt.prompt(fields)},
                      {"answer", prompt.answer(fields)},
                      {"tokens", example.ids.size()},
                      {"answer_tokens", example.answer_tokens},
                      {"truncated", example.truncated}});
    }
  }
  if (command.common.json) return print_json(json);
  for (const OutputJson& row : json) {
    const bool truncated = row["truncated"].get<bool>();
    fmt::print("--- {}: {} tokens{}, {} of them the answer with end-of-sequence\n{}[{}]\n",
               row["where"].get<std::string>(), row["tokens"].get<std::int64_t>(),
               truncated ? " after the input was cut" : "",
               row["answer_tokens"].get<std::int64_t>(),
               shown_lines(row["prompt"].get<std::string>()),
               shown_lines(row["answer"].get<std::string>()));
  }
}

void add_import(CLI::App& tasks) {
  auto options = std::make_shared<ImportCommand>();
  CLI::App* command = tasks.add_subcommand("import", "Other formats to the native task folder");
  add_options(*command, *options);
  options->common.add_to(*command);
  command->footer(
      "Examples:\n  taskneuron tasks import task1318.json --format superni --out dishes\n"
      "  taskneuron tasks import reviews.csv --format csv --column input=text output=stars \\\n"
      "    --instruction 'How many stars?' --out reviews");
  command->callback([options] { run_import(*options); });
}

void add_show(CLI::App& tasks) {
  auto options = std::make_shared<ShowCommand>();
  CLI::App* command =
      tasks.add_subcommand("show", "Rendered prompts with their token counts, answers in brackets");
  options->data.split = "train";
  options->data.limit = 3;
  add_options(*command, *options);
  options->common.add_to(*command);
  command->remove_option(command->get_option("--threads"));  // nothing is computed
  command->footer(
      "Example:\n  taskneuron tasks show examples/models/mini --task examples/tasks/babi --limit "
      "1");
  command->callback([options] { run_show(*options); });
}

}  // namespace

void add_tasks(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("tasks", "Import tasks from other formats, and look at them");
  command->require_subcommand(1);
  add_import(*command);
  add_show(*command);
}

}  // namespace taskneuron::cli

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>

#include "base/file.h"
#include "cli/command.h"
#include "taskneuron/base/error.h"
#include "taskneuron/base/progress.h"
#include "taskneuron/data/import.h"

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
};

struct ShowCommand {
  CommonOptions common;
  std::string model;
  RowOptions data;
};

void parse_columns(ImportCommand& command) {
  for (const std::string& pair : command.columns) {
    const std::size_t equals = pair.find('=');
    const std::string field = pair.substr(0, equals);
    if (equals == std::string::npos ||
        (field != "input" && field != "output" && field != "instruction")) {
      throw UsageError(
          fmt::format("`column` '{}': expected input=NAME, output=NAME or "
                      "instruction=NAME",
                      pair));
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
    throw UsageError(fmt::format("`delimiter` '{}': expected one character, such as ';', or tab",
                                 command.delimiter));
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
  const ModelFolder model = find_model(command.model);
  const Tokenizer tokenizer(model.path);
  const PromptTemplate prompt = command.data.find_template(tokenizer.chat_template());
  const ModelConfig config = read_model_config(model.path / "config.json");
  const std::int64_t end = tokenizer.end_of_sequence().value_or(
      config.end_of_sequence.empty() ? 0 : config.end_of_sequence.front());
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
               row["answer_tokens"].get<std::int64_t>(), row["prompt"].get<std::string>(),
               row["answer"].get<std::string>());
  }
}

void add_import(CLI::App& tasks) {
  auto options = std::make_shared<ImportCommand>();
  CLI::App* command = tasks.add_subcommand("import", "Other formats to the native task folder");
  command->add_option("PATH", options->path, "File or folder to import")->required();
  command
      ->add_option("--format", options->format,
                   fmt::format("{}", fmt::join(import_formats(), ", ")))
      ->required();
  command
      ->add_option("--out", options->out,
                   "Task folder, which must not exist; the one above for several tasks")
      ->required();
  command->add_option("--name", options->options.name, "Name of the task; default: the file's");
  command->add_option("--type", options->type,
                      "classification or generation; default: classification if outputs repeat");
  command->add_option("--instruction", options->options.instruction,
                      "For sources that carry no instruction");
  command->add_option("--column", options->columns,
                      "csv, jsonl: input=NAME, output=NAME, instruction=NAME");
  command
      ->add_option("--delimiter", options->delimiter,
                   "csv: what stands between fields, one character or tab")
      ->capture_default_str();
  command
      ->add_option("--validation", options->options.validation_share,
                   "Share of rows for validation, where the source has no splits")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  command->add_option("--test", options->options.test_share, "Likewise for test")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  command->add_option("--seed", options->options.seed, "Seed of the splits")->capture_default_str();
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
  command
      ->add_option("MODEL", options->model,
                   fmt::format("{}: its tokenizer and context", kModelHelp))
      ->required();
  options->data.split = "train";
  options->data.limit = 3;
  add_options(*command, options->data);
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

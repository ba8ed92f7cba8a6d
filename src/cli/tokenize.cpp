#include <fmt/format.h>

#include <iostream>

#include "cli/command.h"
#include "taskneuron/base/error.h"
#include "taskneuron/recipe/locate_model.h"

namespace taskneuron::cli {

namespace {

struct Options {
  CommonOptions common;
  std::string model;

  void declare(OptionList& list) {
    list.add("model", &model, Effect::kInput, kModelHelp).positional().required();
    common.declare(list);
  }
};

void run(const Options& options) {
  options.common.apply();
  const Tokenizer tokenizer(locate_model(options.model).path);
  std::int64_t number = 0;
  for (std::string line; std::getline(std::cin, line);) {
    const std::string where = fmt::format("standard input:{}", ++number);
    const Json document = parse_json(line, where);
    const std::string text = JsonView(document, where).at("text").string();
    const auto special = tokenizer.encode(text, SpecialTokens::kAdd);
    OutputJson row;
    row["ids"] = tokenizer.encode(text, SpecialTokens::kLeaveOut);
    row["ids_special"] = special;
    row["decoded"] = tokenizer.decode(special);
    fmt::print("{}\n", json_text(row));
  }
}

}  // namespace

void add_tokenize(CLI::App& app) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      add_command(app, "tokenize", "Encode and decode text with a model's tokenizer");
  add_options(*command, *options);
  set_run(
      *command,
      "Reads JSON lines {\"text\"} and writes {\"ids\", \"ids_special\", \"decoded\"}.\n\n"
      "Example:\n  echo '{\"text\": \"Hello world\"}' | taskneuron tokenize examples/models/mini",
      [options] { run(*options); });
}

}  // namespace taskneuron::cli

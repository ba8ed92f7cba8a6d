#include "taskneuron/recipe/continual.h"

#include <fmt/format.h>

#include "base/file.h"
#include "cli/continual_output.h"
#include "taskneuron/continual/method.h"

namespace taskneuron::cli {

namespace {

struct Options {
  CommonOptions common;
  ModelOptions model;
  ContinualOptions continual;
};

void run(const Options& options) {
  options.common.apply();
  options.continual.check();
  const Session session(options.model);
  const ContinualResult found = continual(session, options.continual);
  OutputJson json = model_json(session);
  add_streams_json(json, found);
  write_file(std::filesystem::path(options.continual.out) / "result.json",
             json_text(json, 1) + "\n");
  if (options.common.json) return print_json(json);
  print_streams(found);
}

std::string footer() {
  std::string text =
      "Example: taskneuron continual MODEL --order examples/orders/mini.json --method ncft w-ncft "
      "ncft-random seqft --lr 3e-3 --out streams\n\nMethods:\n";
  for (const MethodKind& kind : method_kinds()) {
    text += fmt::format("  {:<14} {}\n", kind.name, kind.help);
    std::string keys;
    for (const std::string& key : kind.keys) keys += (keys.empty() ? "" : ", ") + key;
    if (!keys.empty()) text += fmt::format("  {:<14}   settings: {}\n", "", keys);
  }
  text += "  every method has the settings lr, epochs and batch\n\nSettings:\n";
  MethodSettings settings;
  OptionList list;
  settings.declare(list);
  for (const Option& option : list.all()) {
    text += fmt::format("  {:<14} {}\n", option.name, option.help);
  }
  return text + kTermsFooter;
}

}  // namespace

void add_continual(CLI::App& app) {
  auto options = std::make_shared<Options>();
  CLI::App* command = add_command(
      app, "continual",
      "Train tasks one after another by methods that keep what was learnt, and measure it");
  add_options(*command, options->model, options->continual);
  options->common.add_to(*command);
  set_run(*command, footer(), [options] { run(*options); });
}

}  // namespace taskneuron::cli

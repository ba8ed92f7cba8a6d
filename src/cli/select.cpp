#include "taskneuron/recipe/select.h"

#include "cli/command.h"
#include "cli/set_output.h"

namespace taskneuron::cli {

namespace {

struct Options {
  CommonOptions common;
  SelectOptions select;
};

void run(const Options& options) {
  options.common.apply();
  print_sets(select(options.select), options.common.json);
}

}  // namespace

void add_select(CLI::App& app) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      add_command(app, "select", "The most relevant units, or random ones, as a set");
  add_options(*command, options->select, options->common);
  set_run(*command,
          std::string(
              "Examples:\n  taskneuron select scitail.safetensors --top 10% --out scitail.json\n"
              "  taskneuron select --random 5 --like scitail.json --out random") +
              kTermsFooter,
          [options] { run(*options); });
}

}  // namespace taskneuron::cli

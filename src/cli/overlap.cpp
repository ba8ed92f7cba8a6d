#include "taskneuron/recipe/overlap.h"

#include <CLI/CLI.hpp>

#include "cli/command.h"
#include "cli/overlap_output.h"

namespace taskneuron::cli {

namespace {

struct Options {
  CommonOptions common;
  OverlapOptions overlap;
  ResultOptions result;
};

void run(const Options& options) {
  options.common.apply();
  options.overlap.check();
  options.result.check();
  const OverlapResult found = overlap(options.overlap);
  const OutputJson json = overlap_json(found);
  options.result.write(json);
  if (options.common.json) return print_json(json);
  print_overlap(found);
}

CLI::App* add_comparison(CLI::App& app, const std::string& name, const std::string& help) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand(name, help);
  add_options(*command, options->overlap);
  options->result.add_to(*command);
  options->common.add_to(*command);
  command->callback([options] { run(*options); });
  return command;
}

}  // namespace

void add_overlap(CLI::App& app) {
  CLI::App* command = add_comparison(app, "overlap", "How much sets or scores of tasks share");
  command->footer(
      std::string(
          "Prints the Jaccard overlap of every two next to the one expected by chance with the "
          "same "
          "number of\n"
          "units per layer, their ratio and the p of at least as much; for unions also with every "
          "member set\n"
          "drawn by itself; for scores also the correlations of relevance over all units. Of three "
          "and more\n"
          "also how many units any number of them share (the core) and which only one has, per "
          "layer, and\n"
          "a tree of tasks by their overlap beyond chance.\n\n"
          "Examples:\n  taskneuron overlap scitail.safetensors babi.safetensors --top 10% 30% 50%\n"
          "  taskneuron overlap qqp.json mnli.json sst2.json --per-layer\n"
          "  taskneuron overlap qqp.json+mnli.json paws.json+gptnli.json") +
      kTermsFooter);
  // Its name in scripts of before, which gave one size in front of the files.
  CLI::App* former = add_comparison(app, "compare", "overlap");
  former->group("");
  former->get_option("--top")->expected(1)->allow_extra_args(false);
}

}  // namespace taskneuron::cli

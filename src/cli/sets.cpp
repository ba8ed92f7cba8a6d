#include <CLI/CLI.hpp>

#include "cli/command.h"
#include "cli/set_output.h"
#include "taskneuron/recipe/combine_sets.h"

namespace taskneuron::cli {

namespace {

struct Options {
  CommonOptions common;
  CombineSetsOptions combine;
};

void run(const Options& options) {
  options.common.apply();
  print_sets({{options.combine.output.out, combine_sets(options.combine)}}, options.common.json);
}

void add_operation(CLI::App& sets, SetOperation operation, const std::string& help,
                   const std::string& example) {
  auto options = std::make_shared<Options>();
  options->combine.operation = operation;
  CLI::App* command = sets.add_subcommand(set_operation_name(operation), help);
  add_options(*command, options->combine, options->common);
  command->footer("Example:\n  taskneuron sets " + example + kTermsFooter);
  command->callback([options] { run(*options); });
}

}  // namespace

void add_sets(CLI::App& app) {
  CLI::App* sets = app.add_subcommand("sets", "Sets made of sets");
  sets->require_subcommand(1);
  sets->footer(
      "Examples:\n  taskneuron sets at-least 3 qqp.json mnli.json sst2.json paws.json --out "
      "core.json\n"
      "  taskneuron sets difference qqp.json core.json --out private.json");
  add_operation(*sets, SetOperation::kUnion, "The units that are in any of the sets",
                "union qqp.json mnli.json --out both.json");
  add_operation(*sets, SetOperation::kIntersection, "The units that are in all of the sets",
                "intersection qqp.json mnli.json --out shared.json");
  add_operation(*sets, SetOperation::kDifference,
                "The units of the first set that are in none of the others",
                "difference qqp.json mnli.json sst2.json --out private.json");
  add_operation(*sets, SetOperation::kAtLeast, "The units that are in m of the sets or more",
                "at-least 2 qqp.json mnli.json sst2.json --out core.json");
}

}  // namespace taskneuron::cli

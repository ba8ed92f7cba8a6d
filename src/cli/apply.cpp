#include "taskneuron/recipe/apply.h"

#include <fmt/format.h>

#include "cli/command.h"
#include "cli/provenance.h"

namespace taskneuron::cli {

namespace {

struct Options {
  CommonOptions common;
  ApplyOptions apply;
};

void run(const Options& options) {
  options.common.apply();
  const ApplyResult found = apply(options.apply);
  if (options.common.json) {
    return print_json({{"model", options.apply.model},
                       {"base_hash", found.base_hash},
                       {"deltas", options.apply.deltas},
                       {"applied", deltas_json(found.deltas)},
                       {"tensors", found.tensors},
                       {"values", found.values},
                       {"rounded_tensors", found.rounded_tensors},
                       {"out", options.apply.out},
                       {"hash", found.hash}});
  }
  fmt::print("{}: {} values of {} deltas in {} of {} tensors\n", options.apply.out, found.values,
             found.deltas.size(), found.tensors, found.model_tensors);
}

}  // namespace

void add_apply(CLI::App& app) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      add_command(app, "apply", "A model folder with deltas merged, scaled or subtracted");
  add_options(*command, options->apply, options->common);
  set_run(*command,
          std::string("Example:\n  taskneuron apply examples/models/mini --delta "
                      "tuned/delta.safetensors:0.5 \\\n"
                      "    --out half-tuned") +
              kTermsFooter,
          [options] { run(*options); });
}

}  // namespace taskneuron::cli

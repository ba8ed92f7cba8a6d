#include "taskneuron/recipe/rollback.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cli/command.h"

namespace taskneuron::cli {

namespace {

struct Options {
  CommonOptions common;
  RollbackOptions rollback;
};

void run(const Options& options) {
  options.common.apply();
  const RollbackResult found = rollback(options.rollback);
  if (options.common.json) {
    return print_json(
        {{"model", options.rollback.model},
         {"stage", options.rollback.stage},
         {"tasks", found.tasks},
         {"stages", found.stages},
         {"tensors", found.tensors},
         {"dtype", found.dtype.empty() ? OutputJson(nullptr) : OutputJson(found.dtype)},
         {"out", options.rollback.out},
         {"hash", found.hash}});
  }
  fmt::print("{}: the model after {}; {} tensors differ from the base\n", options.rollback.out,
             fmt::join(found.tasks, ", "), found.tensors);
}

}  // namespace

void add_rollback(CLI::App& app) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      add_command(app, "rollback", "The model as any stage of continual left it, rebuilt exactly");
  add_options(*command, options->rollback, options->common);
  set_run(*command,
          std::string("Example:\n  taskneuron rollback examples/models/mini --stage "
                      "streams/stages/scitail-0123456789abcdef \\\n"
                      "    --out after-scitail") +
              kTermsFooter,
          [options] { run(*options); });
}

}  // namespace taskneuron::cli

#include "cli/ablate.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cli/command.h"
#include "cli/provenance.h"

namespace taskneuron::cli {

namespace {

struct Options {
  CommonOptions common;
  ResultOptions result;
  ModelOptions model;
  AblateOptions ablate;
};

std::string listed(const std::vector<std::string>& names) {
  return fmt::format("{}", fmt::join(names, ", "));
}

void run(Options& options) {
  options.common.apply();
  options.result.check();
  options.ablate.force = options.result.output.force;
  options.ablate.check();
  const Session session(options.model);
  const AblateResult found = ablate(session, options.ablate);
  OutputJson json = model_json(session);
  const bool sets = found.conditions.front().top == "as given";
  json.update({{"model_hash", found.hashes.model},
               {"top", sets ? "as given" : listed(options.ablate.tops)},
               {"scope", sets ? "as given" : listed(options.ablate.scopes)},
               {"mode", listed(options.ablate.modes)},
               {"random_kind", listed(options.ablate.random_kinds)},
               {"template", found.template_name},
               {"template_hash", found.hashes.prompt_template},
               {"seed", options.ablate.seed},
               {"deltas", deltas_json(session.deltas())}});
  if (!found.references.empty()) json["references"] = references_json(found.references);
  json.update(ablation_json(found));
  options.result.write(json);
  if (options.common.json) return print_json(json);
  print_ablation(found);
}

}  // namespace

void add_ablate(CLI::App& app) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      add_command(app, "ablate",
                  "Switch off the units of tasks, and random ones, and see what each task loses");
  add_options(*command, options->model, options->ablate);
  options->result.add_to(*command);
  options->common.add_to(*command);
  set_shared_run(
      *command,
      std::string(
          "Examples:\n  taskneuron ablate examples/models/mini --task examples/tasks/scitail \\\n"
          "    --scores scitail.safetensors --top 10%\n"
          "  taskneuron ablate examples/models/mini --task examples/tasks/scitail "
          "examples/tasks/babi \\\n"
          "    --scores scores/scitail.safetensors scores/babi.safetensors --top 1% 3% 10% \\\n"
          "    --random-kind matched uniform --text README.md") +
          kTermsFooter,
      {&options->ablate.keep, &options->ablate.predictions, &options->result.output.out},
      [options] { run(*options); });
}

}  // namespace taskneuron::cli

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/file.h"
#include "cli/command.h"
#include "cli/provenance.h"
#include "taskneuron/base/error.h"
#include "taskneuron/base/progress.h"
#include "taskneuron/checkpoint/checkpoint.h"
#include "taskneuron/train/delta.h"
#include "taskneuron/train/model_card.h"

namespace taskneuron::cli {

namespace {

struct Options {
  CommonOptions common;
  std::string model;
  std::vector<std::string> deltas;
  std::string out;
};

std::string command_line(const Options& options) {
  return fmt::format("taskneuron apply {} --delta {} --out {}", options.model,
                     fmt::join(options.deltas, " "), options.out);
}

void run(const Options& options) {
  options.common.apply();
  require_new_folder(options.out);
  const Checkpoint base(find_model(options.model).path);
  std::vector<ScaledDelta> deltas;
  for (const std::string& text : options.deltas) {
    const DeltaArgument argument = parse_delta_argument(text);
    deltas.push_back({load_delta(argument.path, base), argument.scale});
  }
  SaveOptions save;
  std::int64_t rounded = 0;
  for (const auto& [name, merged] : apply_deltas(base, deltas)) {
    const at::ScalarType stored = base.tensor(name).scalar_type();
    if (merged.scalar_type() != stored) ++rounded;
    save.replaced[name] = merged.to(stored);
  }
  if (rounded > 0) {
    note(fmt::format("{} of {} tensors were rounded to the dtype that the folder stores", rounded,
                     save.replaced.size()));
  }
  const std::size_t tensors = save.replaced.size();
  const std::vector<RunInput> inputs = delta_inputs(options.deltas);
  save.readme = model_card(
      {options.model, base.hash(), inputs, fmt::format("made by `{}`", command_line(options))});
  Progress bar("apply", base.tensor_bytes());
  save.progress = [&](std::int64_t bytes) { bar.advance(bytes); };
  save_model(base, options.out, save);
  const Checkpoint written(options.out);
  std::int64_t values = 0;
  for (const ScaledDelta& one : deltas) values += one.delta.values();
  if (options.common.json) {
    return print_json({{"model", options.model},
                       {"base_hash", base.hash()},
                       {"deltas", options.deltas},
                       {"applied", deltas_json(inputs)},
                       {"tensors", tensors},
                       {"values", values},
                       {"rounded_tensors", rounded},
                       {"out", options.out},
                       {"hash", written.hash()}});
  }
  fmt::print("{}: {} values of {} deltas in {} of {} tensors\n", options.out, values, deltas.size(),
             tensors, base.tensor_names().size());
}

}  // namespace

void add_apply(CLI::App& app) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      app.add_subcommand("apply", "A model folder with deltas merged, scaled or subtracted");
  command->add_option("MODEL", options->model, "The base that the deltas were trained from")
      ->required();
  command
      ->add_option("--delta", options->deltas,
                   "PATH or PATH:SCALE; the result is W0 + the sum of SCALE times what each "
                   "changed. 1 merges, -1 subtracts, several compose")
      ->required();
  command->add_option("--out", options->out, "Folder to write; must not exist")->required();
  options->common.add_to(*command);
  command->footer(std::string("Example:\n  taskneuron apply examples/models/mini --delta "
                              "tuned/delta.safetensors:0.5 \\\n"
                              "    --out half-tuned") +
                  kTermsFooter);
  command->callback([options] { run(*options); });
}

}  // namespace taskneuron::cli

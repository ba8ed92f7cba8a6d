#include <fmt/format.h>

#include "base/file.h"
#include "cli/command.h"
#include "taskneuron/base/compute.h"
#include "taskneuron/base/error.h"
#include "taskneuron/base/progress.h"
#include "taskneuron/checkpoint/checkpoint.h"

namespace taskneuron::cli {

namespace {

struct Options {
  CommonOptions common;
  std::string model;
  std::string dtype = "bfloat16";
  std::string out;
};

void run(const Options& options) {
  options.common.apply();
  if (options.dtype != "bfloat16" && options.dtype != "float32" && options.dtype != "float16") {
    throw UsageError("dtype", options.dtype, "bfloat16, float16 or float32");
  }
  const at::ScalarType dtype = options.dtype == "bfloat16"  ? at::kBFloat16
                               : options.dtype == "float16" ? at::kHalf
                                                            : at::kFloat;
  require_new_folder(options.out);
  const ModelFolder found = find_model(options.model);
  const Checkpoint checkpoint(found.path);
  Progress bar("convert", checkpoint.tensor_bytes());
  SaveOptions save;
  save.dtype = dtype;
  save.progress = [&](std::int64_t bytes) { bar.advance(bytes); };
  save_model(checkpoint, options.out, save);
  const Checkpoint written(options.out);
  if (options.common.json) {
    OutputJson json = model_json(options.model, found);
    json.update({{"out", options.out},
                 {"dtype", options.dtype},
                 {"bytes", written.tensor_bytes()},
                 {"hash", written.hash()}});
    return print_json(json);
  }
  fmt::print("{}: {} bytes of weights in {} ({} bytes before)\n", options.out,
             written.tensor_bytes(), options.dtype, checkpoint.tensor_bytes());
}

}  // namespace

void add_convert(CLI::App& app) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("convert", "A model folder in another dtype");
  command->add_option("MODEL", options->model, kModelHelp)->required();
  command->add_option("--dtype", options->dtype, "bfloat16, float16 or float32")
      ->capture_default_str();
  command->add_option("--out", options->out, "Folder to write; must not exist")->required();
  options->common.add_to(*command);
  command->footer(
      "Tensors are converted one at a time, so memory stays that of the largest.\n\n"
      "Example:\n  taskneuron convert Llama-2-7b --dtype bfloat16 --out Llama-2-7b-bf16");
  command->callback([options] { run(*options); });
}

}  // namespace taskneuron::cli

#include "taskneuron/recipe/convert.h"

#include <fmt/format.h>

#include "cli/command.h"

namespace taskneuron::cli {

namespace {

struct Options {
  CommonOptions common;
  ConvertOptions convert;
};

void run(const Options& options) {
  options.common.apply();
  const ConvertResult found = convert(options.convert);
  const auto& [model, dtype, out] = options.convert;
  if (options.common.json) {
    OutputJson json = model_json(model, found.folder);
    json.update({{"out", out}, {"dtype", dtype}, {"bytes", found.bytes}, {"hash", found.hash}});
    return print_json(json);
  }
  fmt::print("{}: {} bytes of weights in {} ({} bytes before)\n", out, found.bytes, dtype,
             found.bytes_before);
}

}  // namespace

void add_convert(CLI::App& app) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      add_command(app, "convert", "A model folder in another dtype, or of a GGUF file");
  add_options(*command, options->convert, options->common);
  set_run(
      *command,
      "MODEL may be a GGUF file (llama.cpp's): config.json, tokenizer and weights become a Hugging "
      "Face "
      "folder. Other commands take one too, and keep what they make of it in "
      "~/.cache/taskneuron/models. Tensors are converted one at a time, so memory stays that of "
      "the "
      "largest.\n\n"
      "Examples:\n  taskneuron convert Llama-2-7b --dtype bfloat16 --out Llama-2-7b-bf16\n"
      "  taskneuron convert gemma-3-270m-q4_k_m.gguf --out gemma-3-270m",
      [options] { run(*options); });
}

}  // namespace taskneuron::cli

#include "taskneuron/recipe/merge.h"

#include <fmt/format.h>

#include "cli/command.h"

namespace taskneuron::cli {

namespace {

struct Options {
  CommonOptions common;
  MergeOptions merge;
};

void run(const Options& options) {
  options.common.apply();
  const Scores merged = merge(options.merge);
  const std::string& out = options.merge.output.out;
  const std::size_t files = options.merge.scores.size();
  if (options.common.json) {
    return print_json({{"out", out},
                       {"task", merged.info.task},
                       {"files", files},
                       {"examples", merged.examples},
                       {"tokens", merged.tokens}});
  }
  fmt::print("{}: {} examples ({} tokens) of task {} from {} files\n", out, merged.examples,
             merged.tokens, merged.info.task, files);
}

}  // namespace

void add_merge(CLI::App& app) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      add_command(app, "merge", "Add score files of the same task, as if detected in one run");
  add_options(*command, options->merge, options->common);
  set_run(*command,
          "Example:\n  taskneuron merge part1.safetensors part2.safetensors --out all.safetensors",
          [options] { run(*options); });
}

}  // namespace taskneuron::cli

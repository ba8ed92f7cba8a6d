#include <fmt/format.h>

#include "base/file.h"
#include "cli/command.h"
#include "taskneuron/neuron/scores.h"

namespace taskneuron::cli {

namespace {

struct Options {
  CommonOptions common;
  std::vector<std::string> scores;
  std::string out;
};

void run(const Options& options) {
  options.common.apply();
  require_writable(options.out);
  Scores merged = load_scores(options.scores.front());
  for (std::size_t i = 1; i < options.scores.size(); ++i) {
    merged.merge(load_scores(options.scores[i]), options.scores[i]);
  }
  save_scores(merged, options.out);
  if (options.common.json) {
    return print_json({{"out", options.out},
                       {"task", merged.info.task},
                       {"files", options.scores.size()},
                       {"examples", merged.examples},
                       {"tokens", merged.tokens}});
  }
  fmt::print("{}: {} examples ({} tokens) of task {} from {} files\n", options.out, merged.examples,
             merged.tokens, merged.info.task, options.scores.size());
}

}  // namespace

void add_merge(CLI::App& app) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      app.add_subcommand("merge", "Add score files of the same task, as if detected in one run");
  command->add_option("SCORES", options->scores, "Score files made by detect")->required();
  command->add_option("--out", options->out, "Score file")->required();
  options->common.add_to(*command);
  command->footer(
      "Example:\n  taskneuron merge part1.safetensors part2.safetensors --out all.safetensors");
  command->callback([options] { run(*options); });
}

}  // namespace taskneuron::cli

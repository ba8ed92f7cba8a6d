#include <fmt/format.h>

#include <map>

#include "base/file.h"
#include "cli/command.h"
#include "taskneuron/base/error.h"
#include "taskneuron/neuron/scores.h"

namespace taskneuron::cli {

namespace {

struct Options {
  CommonOptions common;
  std::vector<std::string> scores;
  OutputOptions output;

  void declare(OptionList& list) { output.declare(list, "Score file").required(); }
};

void run(const Options& options) {
  options.common.apply();
  const std::string& out = options.output.out;
  require_writable(out, options.output.existing());
  Scores merged = load_scores(options.scores.front());
  std::map<std::string, std::string> paths = {{merged.sums_hash(), options.scores.front()}};
  for (std::size_t i = 1; i < options.scores.size(); ++i) {
    const Scores next = load_scores(options.scores[i]);
    const auto [other, is_new] = paths.emplace(next.sums_hash(), options.scores[i]);
    if (!is_new) {
      throw Error(
          fmt::format("{}: holds the same sums as {}; merging would count the same examples twice",
                      options.scores[i], other->second));
    }
    merged.merge(next, options.scores[i]);
  }
  save_scores(merged, out);
  if (options.common.json) {
    return print_json({{"out", out},
                       {"task", merged.info.task},
                       {"files", options.scores.size()},
                       {"examples", merged.examples},
                       {"tokens", merged.tokens}});
  }
  fmt::print("{}: {} examples ({} tokens) of task {} from {} files\n", out, merged.examples,
             merged.tokens, merged.info.task, options.scores.size());
}

}  // namespace

void add_merge(CLI::App& app) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      app.add_subcommand("merge", "Add score files of the same task, as if detected in one run");
  command->add_option("SCORES", options->scores, "Score files made by detect")->required();
  add_options(*command, *options);
  options->common.add_to(*command);
  command->footer(
      "Example:\n  taskneuron merge part1.safetensors part2.safetensors --out all.safetensors");
  command->callback([options] { run(*options); });
}

}  // namespace taskneuron::cli

#include "taskneuron/recipe/streams.h"

#include "cli/command.h"
#include "cli/continual_output.h"

namespace taskneuron::cli {

namespace {

struct Options {
  CommonOptions common;
  StreamsOptions streams;
  ResultOptions result;
};

void run(const Options& options) {
  options.common.apply();
  options.result.check();
  const ContinualResult found = streams_from_files(options.streams);
  OutputJson json = {{"files", options.streams.files}};
  add_streams_json(json, found);
  options.result.write(json);
  if (options.common.json) return print_json(json);
  print_streams(found, options.streams.compare.empty() ? Compared::kWithFirst : Compared::kAsked);
}

}  // namespace

void add_streams(CLI::App& app) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      add_command(app, "streams",
                  "Put results of continual from several folders together, and compare methods");
  add_options(*command, options->streams);
  options->result.add_to(*command);
  options->common.add_to(*command);
  set_run(
      *command,
      std::string("The first file's first method is compared with all others, or what --compare "
                  "names. Streams must be "
                  "measured alike:\nresults whose settings differ are refused.\n\n"
                  "Example: taskneuron streams ours/result.json baselines/result.json") +
          kTermsFooter,
      [options] { run(*options); });
}

}  // namespace taskneuron::cli

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>

#include "cli/command.h"
#include "cli/provenance.h"
#include "taskneuron/base/compute.h"
#include "taskneuron/base/error.h"
#include "taskneuron/base/memory.h"
#include "taskneuron/neuron/scorer.h"

namespace taskneuron::cli {

namespace {

struct Options {
  CommonOptions common;
  ModelOptions model;
  DataOptions data;
  OutputOptions output;
  std::vector<std::string> sites = {"act"};
  std::string method = "taylor";
  std::string aggregate;
  std::string positions = "all";
  int steps = 16;
  std::uint64_t seed = 0;
};

ScoreOptions score_options(const Options& options) {
  ScoreOptions result;
  result.method = options.method;
  const std::vector<Site> sites = parse_sites(options.sites);
  result.sites = {sites.begin(), sites.end()};
  result.aggregate = options.aggregate.empty() ? default_aggregate(options.method)
                                               : parse_aggregate(options.aggregate);
  if (options.positions != "all" && options.positions != "own") {
    throw UsageError(fmt::format("--positions '{}' is unknown; use all or own", options.positions));
  }
  result.positions = options.positions == "own" ? Positions::kOwn : Positions::kAll;
  result.limits = options.data.limits();
  result.integration_steps = options.steps;
  result.seed = options.seed;
  return result;
}

Scores score_task(const LoadedModel& model, const EncodedTask& task, const ScoreOptions& options) {
  Progress bar(fmt::format("detect {}", task.task.name));
  return score_units(model.checkpoint(), model.decoder(), task.examples, options,
                     [&](double share, std::int64_t tokens) { bar.advance_share(share, tokens); });
}

// One score file per task.
std::vector<std::string> score_paths(const Options& options) {
  std::vector<std::string> names;
  for (const std::string& folder : options.data.tasks) {
    const std::string name = load_task(folder).name;
    if (std::find(names.begin(), names.end(), name) != names.end()) {
      throw Error(
          fmt::format("{}: another task is named '{}' too, and both would be written to one "
                      "file; detect them one by one",
                      folder, name));
    }
    names.push_back(name);
  }
  return options.output.paths(names, ".safetensors");
}

void run(const Options& options) {
  options.common.apply();
  ScoreOptions scoring = score_options(options);
  const PromptTemplate prompt = find_template(options.data, options.model.folder);
  const std::vector<std::string> paths = score_paths(options);
  const LoadedModel model(options.model);
  for (const Site site : scoring.sites) site_shape(model.checkpoint().config(), site);
  const ExampleEncoder encoder(model.tokenizer(), prompt, model.encoder_options(options.data));
  std::vector<EncodedTask> tasks;
  for (const std::string& folder : options.data.tasks) {
    tasks.push_back(encode_task(folder, options.data, encoder));
  }
  const std::vector<RunInput> deltas = delta_inputs(options.model.deltas);
  OutputJson results = OutputJson::array();
  Table table(
      {"task", "split", "examples", "loss ± 95%", "tokens", "seconds", "tokens/s", "scores"});
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    const BatchMemory plan = options.data.fit(model.checkpoint(), model.decoder(),
                                              score_demand(tasks[i].examples, scoring));
    scoring.limits = plan.limits;
    scoring.recompute = plan.recompute;
    const AnonymousPeak memory;
    const auto start = std::chrono::steady_clock::now();
    Scores scores = score_task(model, tasks[i], scoring);
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    scores.info.model_hash = model.checkpoint().hash();
    scores.info.task = tasks[i].task.name;
    scores.info.split = options.data.split;
    scores.info.template_hash = prompt.hash();
    scores.info.deltas = deltas_text(deltas);
    const LossInterval loss(scores.losses);
    save_scores(scores, paths[i]);
    const double rate = static_cast<double>(scores.tokens) / elapsed.count();
    OutputJson result = model.named();
    result.update({{"tasks", {tasks[i].task.name}},
                   {"split", options.data.split},
                   {"examples", scores.examples},
                   {"truncated", tasks[i].truncated},
                   {"tokens", scores.tokens},
                   {"seconds", elapsed.count()},
                   {"tokens_per_second", rate},
                   {"batch_tokens", plan.limits.max_tokens},
                   {"passes_at_a_time", plan.limits.workers},
                   {"recomputed", plan.recompute},
                   {"predicted_memory_bytes", plan.predicted},
                   {"peak_memory_bytes", memory.bytes()},
                   {"deltas", deltas_json(deltas)},
                   {"out", paths[i]}});
    loss.add_to(result);
    results.push_back(result);
    table.add({tasks[i].task.name, options.data.split, std::to_string(scores.examples), loss.text(),
               std::to_string(scores.tokens), fmt::format("{:.1f}", elapsed.count()),
               fmt::format("{:.0f}", rate), paths[i]});
  }
  if (!options.common.json) return table.print();
  print_json(results.size() == 1 ? results[0] : results);
}

}  // namespace

void add_detect(CLI::App& app) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      app.add_subcommand("detect", "Relevance of every FFN unit for a task, as a score file");
  options->model.add_to(*command);
  options->data.add_to(*command, "train");
  options->output.add_to(*command, "Score file; a folder for several tasks")->required();
  command->add_option("--site", options->sites, kSitesHelp)->capture_default_str();
  command
      ->add_option("--method", options->method, fmt::format("{}", fmt::join(score_methods(), ", ")))
      ->capture_default_str();
  command->add_option("--aggregate", options->aggregate,
                      "example, token or dataset: what relevance in the file means. All three sums "
                      "are stored, but for dataset, which runs the tasks' shared prefix only once");
  command
      ->add_option("--positions", options->positions,
                   "all, or own: only tokens after the prefix that all examples share; that prefix "
                   "then runs once")
      ->capture_default_str();
  command->add_option("--steps", options->steps, "Steps of integrated-gradients")
      ->check(at_least(1))
      ->capture_default_str();
  command->add_option("--seed", options->seed, "Seed of method random")->capture_default_str();
  options->common.add_to(*command);
  command->footer(
      std::string(
          "Example:\n  taskneuron detect examples/models/mini --task examples/tasks/scitail \\\n"
          "    --out scitail.safetensors") +
      kTermsFooter);
  command->callback([options] { run(*options); });
}

}  // namespace taskneuron::cli

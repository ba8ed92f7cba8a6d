#include <fmt/format.h>

#include <filesystem>

#include "cli/command.h"
#include "taskneuron/base/error.h"
#include "taskneuron/neuron/selection.h"

namespace taskneuron::cli {

namespace {

struct Options {
  CommonOptions common;
  std::vector<std::string> scores;
  std::string top = "10%";
  std::string scope = "global";
  std::string aggregate;
  std::vector<std::string> sites;
  std::vector<std::string> contrast;
  std::int64_t random = 0;
  std::string like;
  std::string random_kind = "matched";
  std::uint64_t seed = 0;
  OutputOptions output;
};

SiteRelevance relevance_of(const Options& options, const Scores& scores) {
  const Aggregate aggregate =
      parse_aggregate(options.aggregate.empty() ? scores.info.aggregate : options.aggregate);
  return site_relevance(scores, parse_sites(options.sites), aggregate);
}

NeuronSet select_one(const Options& options, const std::string& path) {
  const Scores scores = load_scores(path);
  SiteRelevance relevance = relevance_of(options, scores);
  std::string contrasted;
  if (!options.contrast.empty()) {
    std::vector<SiteRelevance> others;
    for (const std::string& other_path : options.contrast) {
      if (std::filesystem::equivalent(other_path, path)) continue;
      const Scores other = load_scores(other_path);
      others.push_back(relevance_of(options, other));
      contrasted += (contrasted.empty() ? "" : ", ") + other.info.task;
    }
    if (others.empty()) throw UsageError("--contrast needs the scores of another task");
    relevance = contrastive(relevance, others);
  }
  NeuronSet set = select_top(relevance, parse_percent(options.top), parse_scope(options.scope));
  set.model_hash = scores.info.model_hash;
  set.from["task"] = scores.info.task;
  set.from["split"] = scores.info.split;
  set.from["template_hash"] = scores.info.template_hash;
  set.from["method"] = scores.info.method;
  set.from["aggregate"] = options.aggregate.empty() ? scores.info.aggregate : options.aggregate;
  set.from["examples"] = std::to_string(scores.examples);
  if (!contrasted.empty()) set.from["contrast"] = contrasted;
  return set;
}

struct Written {
  std::string path;
  NeuronSet set;
};

std::vector<Written> select_random(const Options& options) {
  if (options.like.empty()) throw UsageError("--random needs --like SET, whose size it takes");
  const RandomKind kind = parse_random_kind(options.random_kind);
  const NeuronSet like = load_set(options.like);
  const auto known = like.from.find("task");
  const std::string task = known != like.from.end()
                               ? known->second
                               : std::filesystem::path(options.like).stem().string();
  if (kind == RandomKind::kOutside) {
    for (const ExhaustedLayer& layer : exhausted_layers(like)) {
      note(
          fmt::format("layer {} at {} has {} units outside the set, {} were to be drawn: random "
                      "sets take all of them",
                      layer.layer, site_name(layer.site), layer.outside, layer.inside));
    }
  }
  std::vector<std::string> names;
  for (std::int64_t i = 0; i < options.random; ++i) names.push_back(fmt::format("random-{}", i));
  const std::vector<std::string> paths = options.output.paths(names, ".json");
  std::vector<Written> written;
  for (std::size_t i = 0; i < paths.size(); ++i) {
    const auto draw = static_cast<std::int64_t>(i);
    written.push_back({paths[i], random_set(like, {kind, task, options.seed, draw})});
    written.back().set.from["like"] = options.like;
  }
  return written;
}

std::vector<Written> select_all(const Options& options) {
  std::vector<std::string> names;
  for (const std::string& path : options.scores) {
    names.push_back(std::filesystem::path(path).stem().string());
  }
  const std::vector<std::string> paths = options.output.paths(names, ".json");
  std::vector<Written> written;
  for (std::size_t i = 0; i < paths.size(); ++i) {
    written.push_back({paths[i], select_one(options, options.scores[i])});
  }
  return written;
}

std::string layer_profile(const NeuronSet::SiteUnits& units) {
  std::string text;
  for (const auto& layer : units.units)
    text += fmt::format("{}{}", text.empty() ? "" : " ", layer.size());
  return text;
}

void run(const Options& options) {
  options.common.apply();
  if (options.random == 0 && options.scores.empty()) {
    throw UsageError("select needs score files, or --random N --like SET");
  }
  if (options.random > 0 && !options.scores.empty()) {
    throw UsageError("select takes either score files or --random, not both");
  }
  const std::vector<Written> written =
      options.random > 0 ? select_random(options) : select_all(options);
  OutputJson json = OutputJson::array();
  Table table({"set", "site", "units", "of", "per layer"});
  for (const Written& item : written) {
    save_set(item.set, item.path);
    OutputJson entry = {{"out", item.path}, {"units", item.set.size()}, {"from", item.set.from}};
    for (const auto& [site, units] : item.set.sites) {
      entry["sites"][site_name(site)] = units.size();
      table.add({item.path, site_name(site), std::to_string(units.size()),
                 std::to_string(units.shape().units()), layer_profile(units)});
    }
    json.push_back(entry);
  }
  if (!options.common.json) return table.print();
  print_json(json.size() == 1 ? json[0] : json);
}

}  // namespace

void add_select(CLI::App& app) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      app.add_subcommand("select", "The most relevant units, or random ones, as a set");
  command->add_option("SCORES", options->scores, "Score files made by detect");
  command->add_option("--top", options->top, "Share of the units, in percent")
      ->capture_default_str();
  command->add_option("--scope", options->scope, "global: of all units; layer: of each layer's")
      ->capture_default_str();
  command->add_option("--aggregate", options->aggregate,
                      "example, token or dataset; default: the score file's own");
  command->add_option("--site", options->sites,
                      std::string("Only these sites of the score files. ") + kSitesHelp);
  command->add_option("--contrast", options->contrast,
                      "Score files of other tasks whose mean relevance is subtracted");
  command->add_option("--random", options->random, "Instead: N random sets as large as --like")
      ->check(at_least(1));
  command->add_option("--like", options->like, "Set whose size random sets take");
  command
      ->add_option("--random-kind", options->random_kind,
                   "matched: as many per layer as --like; uniform: anywhere; outside: as matched, "
                   "but none of --like's units")
      ->capture_default_str();
  command
      ->add_option("--seed", options->seed,
                   "Seed of random sets, beside their task, kind and number")
      ->capture_default_str();
  options->output.add_to(*command, "Set file; a folder for several")->required();
  options->common.add_to(*command);
  command->footer(
      std::string(
          "Examples:\n  taskneuron select scitail.safetensors --top 10% --out scitail.json\n"
          "  taskneuron select --random 5 --like scitail.json --out random") +
      kTermsFooter);
  command->callback([options] { run(*options); });
}

}  // namespace taskneuron::cli

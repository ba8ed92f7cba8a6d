#include "taskneuron/recipe/select.h"

#include <fmt/format.h>

#include <filesystem>

#include "recipe/help.h"
#include "taskneuron/base/error.h"
#include "taskneuron/base/progress.h"
#include "taskneuron/base/version.h"
#include "taskneuron/neuron/selection.h"

namespace taskneuron {

void SelectOptions::declare(OptionList& list) {
  list.add("scores", &scores, Effect::kInput, "Score files made by detect").positional();
  list.add("top", &top, Effect::kResult, "Share of the units, in percent");
  list.add("scope", &scope, Effect::kResult, kScopeHelp);
  list.add("aggregate", &aggregate, Effect::kResult,
           "example, token or dataset; default: the score file's own");
  list.add("site", &sites, Effect::kResult,
           std::string("Only these sites of the score files. ") + kSitesHelp);
  list.add("contrast", &contrast, Effect::kInput,
           "Score files of other tasks whose mean relevance is subtracted");
  list.add("random", &random, Effect::kResult, "Instead: N random sets as large as `like`")
      .at_least(1)
      .without_default();
  list.add("like", &like, Effect::kInput, "Set whose size random sets take");
  list.add("random_kind", &random_kind, Effect::kResult, kRandomKindHelp);
  list.add("seed", &seed, Effect::kResult,
           "Seed of random sets, beside their task, kind and number");
  output.declare(list, "Set file; a folder for several").required();
}

namespace {

SiteRelevance relevance_of(const SelectOptions& options, const Scores& scores) {
  const Aggregate aggregate =
      parse_aggregate(options.aggregate.empty() ? scores.info.aggregate : options.aggregate);
  return site_relevance(scores, parse_sites(options.sites), aggregate);
}

NeuronSet select_one(const SelectOptions& options, const std::string& path) {
  const Scores scores = load_scores(path);
  SiteRelevance relevance = relevance_of(options, scores);
  std::string contrasted;
  if (!options.contrast.empty()) {
    std::vector<SiteRelevance> others;
    for (const std::string& other_path : options.contrast) {
      if (std::filesystem::equivalent(other_path, path)) continue;
      const Scores other = load_scores(other_path);
      if (other.info.model_hash != scores.info.model_hash) {
        throw Error(fmt::format(
            "{}: is of a model with other weights than {}; `contrast` compares tasks in "
            "one model",
            other_path, path));
      }
      others.push_back(relevance_of(options, other));
      contrasted += (contrasted.empty() ? "" : ", ") + other.info.task;
    }
    if (others.empty()) throw UsageError("`contrast` needs the scores of another task");
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
  if (!scores.info.experts.empty()) set.from["experts"] = scores.info.experts;
  return set;
}

std::vector<SelectedSet> select_random(const SelectOptions& options) {
  if (options.like.empty()) throw UsageError("`random` needs `like`, the set whose size it takes");
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
  std::vector<SelectedSet> written;
  for (std::size_t i = 0; i < paths.size(); ++i) {
    const auto draw = static_cast<std::int64_t>(i);
    written.push_back({paths[i], random_set(like, {kind, task, options.seed, draw})});
    written.back().set.from["like"] = options.like;
    const auto experts = like.from.find("experts");
    if (experts != like.from.end()) written.back().set.from["experts"] = experts->second;
  }
  return written;
}

std::vector<SelectedSet> select_all(const SelectOptions& options) {
  std::vector<std::string> names;
  for (const std::string& path : options.scores) {
    names.push_back(std::filesystem::path(path).stem().string());
  }
  const std::vector<std::string> paths = options.output.paths(names, ".json");
  std::vector<SelectedSet> written;
  for (std::size_t i = 0; i < paths.size(); ++i) {
    written.push_back({paths[i], select_one(options, options.scores[i])});
  }
  return written;
}

}  // namespace

std::vector<SelectedSet> select(const SelectOptions& options) {
  check_declared(options);
  if (options.random == 0 && options.scores.empty()) {
    throw UsageError("nothing to select from; give score files, or `random` and `like`");
  }
  if (options.random > 0 && !options.scores.empty()) {
    throw UsageError("give either score files or `random`, not both");
  }
  std::vector<SelectedSet> selected =
      options.random > 0 ? select_random(options) : select_all(options);
  for (SelectedSet& one : selected) {
    one.set.from["version"] = version();
    save_set(one.set, one.path);
  }
  return selected;
}

}  // namespace taskneuron

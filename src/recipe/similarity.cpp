#include "taskneuron/recipe/similarity.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "recipe/fitting_set.h"
#include "recipe/help.h"
#include "taskneuron/base/error.h"
#include "taskneuron/base/memory.h"
#include "taskneuron/base/progress.h"
#include "taskneuron/neuron/selection.h"
#include "taskneuron/recipe/locate_model.h"

namespace taskneuron {

void SimilarityOptions::declare(OptionList& list) {
  list.add("model", &model, Effect::kInput, kModelHelp).positional().required();
  list.add("delta", &deltas, Effect::kInput,
           "Deltas to apply, as PATH or PATH:SCALE; what they touch is held in memory");
  list.add("other", &other, Effect::kInput,
           "Model of the same shape whose parameters the second of each pair takes");
  list.add("set", &sets, Effect::kInput, "Sets, detected on the model, on the one side");
  list.add("with", &with_sets, Effect::kInput, "Sets on the other side; each is paired with each");
  list.add("scores", &scores, Effect::kInput, "Instead of `set`: score files, whose top is taken");
  list.add("with_scores", &with_scores, Effect::kInput, "Instead of `with`: score files");
  list.add("site", &sites, Effect::kResult,
           std::string("Only these sites of the score files. ") + kSitesHelp);
  list.add("top", &top, Effect::kResult, "Scores: share of the units, in percent");
  list.add("scope", &scope, Effect::kResult,
           std::string("Scores: ") + kScopeHelp + " (ranked always takes each layer's)");
  list.add("definition", &definitions, Effect::kResult,
           "masked: of a layer's parameters with all other units zeroed; mean: of the sets' mean "
           "parameters; ranked: unit by unit in order of relevance, needs `scores`");
  list.add("allow_other_weights", &allow_other_weights, Effect::kNone,
           "Use sets and scores that were made for other weights of the same shape");
}

namespace {

std::set<SimilarityDefinition> definitions_of(const SimilarityOptions& options) {
  std::set<SimilarityDefinition> result;
  for (const std::string& name : options.definitions) result.insert(parse_similarity(name));
  if (result.empty()) throw UsageError("`definition` names none; use masked, mean or ranked");
  return result;
}

SiteRelevance relevance_of(const SimilarityOptions& options, const Scores& scores) {
  return site_relevance(scores, parse_sites(options.sites), parse_aggregate(scores.info.aggregate));
}

// The top of every layer, the most relevant first. Throws UsageError for scores of several sites,
// of which layers hold different numbers.
UnitsBySite order_of(const SimilarityOptions& options, const SiteRelevance& relevance,
                     const std::string& path) {
  if (relevance.size() != 1) {
    throw UsageError(
        fmt::format("{}: holds {} sites, and ranked pairs units of one; choose it with `site`",
                    path, relevance.size()));
  }
  const auto [site, values] = *relevance.begin();
  const auto count =
      static_cast<std::size_t>(units_of_percent(parse_percent(options.top), values.size(1)));
  UnitsBySite order;
  order[site].resize(static_cast<std::size_t>(values.size(0)));
  const Ranking ranking(relevance);
  for (const SiteUnit& unit : ranking.units()) {
    auto& layer = order[site][static_cast<std::size_t>(unit.layer)];
    if (layer.size() < count) layer.push_back(unit.unit);
  }
  return order;
}

// One side of the pairs: sets, or score files, that fit a model.
std::vector<SimilarityUnits> load_side(const SimilarityOptions& options,
                                       const std::vector<std::string>& files,
                                       const Checkpoint& checkpoint) {
  const OtherWeights other = other_weights(options.allow_other_weights);
  const bool ranked = definitions_of(options).count(SimilarityDefinition::kRanked) != 0;
  std::vector<SimilarityUnits> side;
  for (const std::string& path : files) {
    SimilarityUnits& units = side.emplace_back();
    if (options.scores.empty()) {
      units.set = load_fitting_set(path, checkpoint, other);
      continue;
    }
    const Scores scores = load_scores(path);
    const SiteRelevance relevance = relevance_of(options, scores);
    units.set = select_top(relevance, parse_percent(options.top), parse_scope(options.scope));
    units.set.model_hash = scores.info.model_hash;
    require_fit(units.set, checkpoint.config(), checkpoint.hash(), other, path);
    if (ranked) units.order = order_of(options, relevance, path);
  }
  return side;
}

}  // namespace

void SimilarityOptions::check() const {
  check_declared(*this);
  const auto wanted = definitions_of(*this);
  const bool by_sets = !sets.empty() || !with_sets.empty();
  const bool by_scores = !scores.empty() || !with_scores.empty();
  if (by_sets && by_scores) throw UsageError("give either sets or score files, not both");
  const SimilarityOptions defaults;
  if (by_sets && (top != defaults.top || scope != defaults.scope || !sites.empty())) {
    throw UsageError(
        "`top`, `scope` and `site` are for score files; a set has its size and its sites");
  }
  if (wanted.count(SimilarityDefinition::kRanked) != 0 && by_sets) {
    throw UsageError(
        "`definition` ranked needs an order of relevance, which sets do not hold; give `scores` "
        "and `with_scores` instead of `set` and `with`");
  }
  if (!by_scores && (sets.empty() || with_sets.empty())) {
    throw UsageError("nothing to compare; give `set` and `with`, or `scores` and `with_scores`");
  }
  if (by_scores && (scores.empty() || with_scores.empty())) {
    throw UsageError("nothing to compare; give both `scores` and `with_scores`");
  }
  parse_percent(top);
  parse_scope(scope);
  parse_sites(sites);
}

SimilarityResult similarity(const SimilarityOptions& options) {
  options.check();
  SimilarityResult result;
  result.folder = locate_model(options.model);
  const Checkpoint model = with_deltas(Checkpoint(result.folder.path), options.deltas);
  result.hash = model.hash();
  std::optional<Checkpoint> other;
  if (!options.other.empty()) {
    other.emplace(locate_model(options.other).path);
    result.other_hash = other->hash();
  }
  const std::vector<std::string>& a = options.scores.empty() ? options.sets : options.scores;
  const std::vector<std::string>& b =
      options.scores.empty() ? options.with_sets : options.with_scores;
  const Checkpoint& second = other ? *other : model;
  const AnonymousPeak memory;
  Progress bar("similarity", model.config().layers);
  SimilarityRequest request{model,
                            second,
                            load_side(options, a, model),
                            load_side(options, b, second),
                            definitions_of(options),
                            [&](std::int64_t layers) { bar.advance(layers); }};
  const std::vector<UnitSimilarity> found = unit_similarity(request);
  result.peak_memory_bytes = memory.bytes();
  for (std::size_t i = 0; i < found.size(); ++i) {
    result.pairs.push_back({a[i / b.size()], b[i % b.size()], found[i]});
  }
  return result;
}

}  // namespace taskneuron

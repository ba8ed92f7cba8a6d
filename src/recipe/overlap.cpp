#include "taskneuron/recipe/overlap.h"

#include <fmt/format.h>

#include <filesystem>
#include <sstream>

#include "base/torch_compat.h"
#include "base/workers.h"
#include "recipe/fitting_set.h"
#include "recipe/help.h"
#include "taskneuron/base/error.h"
#include "taskneuron/base/inference.h"
#include "taskneuron/neuron/selection.h"
#include "taskneuron/neuron/set_algebra.h"

namespace taskneuron {

void OverlapOptions::declare(OptionList& list) {
  list.add("files", &files, Effect::kInput,
           "Sets (.json) or unions of them (a.json+b.json), or score files (.safetensors)")
      .positional()
      .required();
  list.add("top", &tops, Effect::kResult,
           "Scores: sizes of the top sets that are compared, ascending");
  list.add("scope", &scope, Effect::kResult, std::string("Scores: ") + kScopeHelp);
  list.add("per_layer", &per_layer, Effect::kResult, "Every pair in every layer too");
  list.add("core", &core, Effect::kResult,
           "Only the units that at least so many sets share; default: any number of sets")
      .at_least(1)
      .without_default();
  list.add("seed", &seed, Effect::kResult,
           "Seed of what is drawn: members of unions, sets for the core");
  list.add("allow_other_weights", &allow_other_weights, Effect::kNone, kOtherWeightsHelp);
}

namespace {

// "A+B" names two files, unless there is one of that name.
std::vector<std::string> member_files(const std::string& argument) {
  if (std::filesystem::exists(argument)) return {argument};
  std::vector<std::string> files;
  std::istringstream stream(argument);
  for (std::string file; std::getline(stream, file, '+');) files.push_back(file);
  if (files.empty() || argument.back() == '+') files.emplace_back();
  for (const std::string& file : files) {
    if (!file.empty()) continue;
    throw UsageError(fmt::format("'{}': a union is written as FILE+FILE, without gaps", argument));
  }
  return files;
}

}  // namespace

void OverlapOptions::check() const {
  check_declared(*this);
  for (const std::string& top : tops) {
    if (is_set(top) || std::filesystem::exists(top)) {
      throw UsageError(fmt::format("`top` '{}' is a file; files stand in front of `top`", top));
    }
  }
  parse_percents(tops);
  if (files.size() < 2) {
    throw UsageError(fmt::format(
        "overlap is what two tasks or more share; there is only '{}': give another file",
        files.front()));
  }
  parse_scope(scope);
  const bool sets = is_set(files.front());
  for (const std::string& argument : files) {
    for (const std::string& file : member_files(argument)) {
      if (is_set(file) == sets) continue;
      throw UsageError(fmt::format(
          "{} and {}: give either sets (.json) or score files, not both; the command select makes "
          "sets of score files",
          files.front(), file));
    }
  }
  const OverlapOptions defaults;
  if (sets && (tops != defaults.tops || scope != defaults.scope)) {
    throw UsageError("`top` and `scope` are for score files; a set has its size");
  }
  if (core > static_cast<std::int64_t>(files.size())) {
    throw UsageError(fmt::format("`core` {}: there are {} sets; use at most {}", core, files.size(),
                                 files.size()));
  }
}

namespace {

// One argument: a score file, a set, or a union of sets.
struct Item {
  std::string name;
  std::vector<NeuronSet> members;
  std::optional<SiteRelevance> relevance;
  std::vector<NeuronSet> sets;  // by `tops`

  bool is_union() const { return members.size() > 1; }
};

Item load_sets(const OverlapOptions& options, const std::string& argument) {
  const std::vector<std::string> files = member_files(argument);
  Item item;
  item.name = argument;
  for (const std::string& file : files) {
    item.members.push_back(load_set(file));
    require_same_model(item.members.front(), item.members.back(), files.front(), file,
                       other_weights(options.allow_other_weights));
  }
  item.sets = {item.is_union() ? union_of(item.members) : item.members.front()};
  return item;
}

Item load_top_sets(const OverlapOptions& options, const std::string& argument) {
  const std::vector<std::string> files = member_files(argument);
  if (files.size() > 1) {
    throw UsageError(fmt::format("'{}': a union is of sets; make them with select, e.g. from {}",
                                 argument, files.front()));
  }
  const Scores scores = load_scores(argument);
  Item item;
  item.name = argument;
  item.relevance = site_relevance(scores, {}, parse_aggregate(scores.info.aggregate));
  const Ranking ranking(*item.relevance);
  for (const double top : parse_percents(options.tops)) {
    item.sets.push_back(ranking.top(top, parse_scope(options.scope)));
    item.sets.back().model_hash = scores.info.model_hash;
  }
  return item;
}

// Runs work(i) for all i of [0, count), on all threads.
template <typename Work>
void for_all(std::size_t count, const Work& work) {
  run_side_by_side(
      static_cast<std::int64_t>(count), at::get_num_threads(),
      [&](std::int64_t i) { work(static_cast<std::size_t>(i)); }, [](std::int64_t) {});
}

std::vector<Item> load_items(const OverlapOptions& options) {
  std::vector<Item> items(options.files.size());
  const bool sets = is_set(options.files.front());
  for_all(items.size(), [&](std::size_t i) {
    items[i] =
        sets ? load_sets(options, options.files[i]) : load_top_sets(options, options.files[i]);
  });
  for (const Item& item : items) {
    require_same_model(items.front().sets.front(), item.sets.front(), items.front().name, item.name,
                       other_weights(options.allow_other_weights));
  }
  return items;
}

// {(0, 1), (0, 2), ..., (1, 2), ...}
std::vector<std::pair<std::size_t, std::size_t>> pairs_of(std::size_t items) {
  std::vector<std::pair<std::size_t, std::size_t>> pairs;
  for (std::size_t i = 0; i < items; ++i) {
    for (std::size_t j = i + 1; j < items; ++j) pairs.emplace_back(i, j);
  }
  return pairs;
}

std::vector<OverlapLayer> layers_of(const NeuronSet& a, const NeuronSet& b) {
  std::vector<OverlapLayer> layers;
  std::vector<double> p;
  for (LayerComparison& layer : compare_layers(a, b)) {
    p.push_back(layer.overlap.p);
    layers.push_back({std::move(layer)});
  }
  p = benjamini_hochberg(p);
  for (std::size_t l = 0; l < layers.size(); ++l) layers[l].p_adjusted = p[l];
  return layers;
}

std::vector<OverlapPair> compare_pairs(const OverlapOptions& options,
                                       const std::vector<Item>& items,
                                       const std::vector<const NeuronSet*>& sets) {
  const std::vector<SetComparison> overlaps = compare_all(sets);
  const auto pairs = pairs_of(items.size());
  std::vector<OverlapPair> found(pairs.size());
  for_all(pairs.size(), [&](std::size_t p) {
    const Item& a = items[pairs[p].first];
    const Item& b = items[pairs[p].second];
    OverlapPair& pair = found[p];
    pair.a = a.name;
    pair.b = b.name;
    pair.overlap = overlaps[p];
    if (a.is_union() || b.is_union()) {
      pair.independent = independent_chance(a.members, b.members, options.seed);
    }
    if (options.per_layer) pair.layers = layers_of(*sets[pairs[p].first], *sets[pairs[p].second]);
  });
  return found;
}

// How far two sets are apart. Beyond chance: next to sets of their sizes that have nothing to do
// with each other, which are at 1.
double distance_of(const SetComparison& overlap, bool beyond_chance) {
  const double distance = 1 - overlap.jaccard;
  if (!beyond_chance || distance == 0) return distance;
  return distance / (1 - overlap.expected_jaccard);
}

OverlapTree grow(const std::vector<OverlapPair>& pairs, std::size_t items, bool beyond_chance) {
  std::vector<double> distances;
  for (const OverlapPair& pair : pairs) {
    distances.push_back(distance_of(pair.overlap, beyond_chance));
  }
  return {beyond_chance ? "beyond-chance" : "jaccard",
          average_linkage(distances, static_cast<std::int64_t>(items))};
}

OverlapGroup compare_group(const OverlapOptions& options, const std::vector<Item>& items,
                           std::size_t index) {
  std::vector<const NeuronSet*> sets;
  for (const Item& item : items) sets.push_back(&item.sets[index]);
  OverlapGroup group;
  if (items.front().relevance) group.top = options.tops[index];
  group.pairs = compare_pairs(options, items, sets);
  if (items.size() < 3 && options.core == 0) return group;
  std::vector<NeuronSet> all;
  for (const NeuronSet* set : sets) all.push_back(*set);
  CoreOptions core = {.m = {}, .seed = options.seed, .draws = {}};
  if (options.core > 0) core.m = options.core;
  group.core = shared_core(all, core);
  if (items.size() < 3) return group;
  group.together = group.core->together;
  group.trees = {grow(group.pairs, items.size(), true), grow(group.pairs, items.size(), false)};
  return group;
}

void add_relevance(const std::vector<Item>& items, std::vector<OverlapGroup>& groups) {
  std::vector<const SiteRelevance*> scores;
  for (const Item& item : items) scores.push_back(&*item.relevance);
  const std::vector<ScoreComparison> found = compare_all_relevance(scores);
  for (OverlapGroup& group : groups) {
    for (std::size_t p = 0; p < found.size(); ++p) group.pairs[p].relevance = found[p];
  }
}

// All pairs are a family, under either null.
void adjust(std::vector<OverlapGroup>& groups) {
  std::vector<double> permuted, independent;
  for (const OverlapGroup& group : groups) {
    for (const OverlapPair& pair : group.pairs) {
      permuted.push_back(pair.overlap.p);
      if (pair.independent) independent.push_back(pair.independent->p);
    }
  }
  permuted = benjamini_hochberg(permuted);
  independent = benjamini_hochberg(independent);
  std::size_t next = 0, next_independent = 0;
  for (OverlapGroup& group : groups) {
    for (OverlapPair& pair : group.pairs) {
      pair.p_adjusted = permuted[next++];
      if (pair.independent) pair.independent_p_adjusted = independent[next_independent++];
    }
  }
}

std::vector<std::string> hashes_that_differ(const std::vector<Item>& items) {
  std::vector<std::string> hashes;
  bool differ = false;
  for (const Item& item : items) {
    hashes.push_back(item.sets.front().model_hash);
    differ = differ || hashes.back() != hashes.front();
  }
  return differ ? hashes : std::vector<std::string>();
}

}  // namespace

OverlapResult overlap(const OverlapOptions& options) {
  options.check();
  const std::vector<Item> items = load_items(options);
  OverlapResult result;
  for (const Item& item : items) result.names.push_back(item.name);
  for (std::size_t i = 0; i < items.front().sets.size(); ++i) {
    result.groups.push_back(compare_group(options, items, i));
  }
  if (items.front().relevance) add_relevance(items, result.groups);
  adjust(result.groups);
  result.model_hashes = hashes_that_differ(items);
  return result;
}

}  // namespace taskneuron

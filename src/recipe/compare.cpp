#include "taskneuron/recipe/compare.h"

#include <fmt/format.h>

#include <filesystem>
#include <sstream>

#include "recipe/help.h"
#include "taskneuron/base/error.h"
#include "taskneuron/base/inference.h"
#include "taskneuron/neuron/selection.h"
#include "taskneuron/neuron/set_algebra.h"

namespace taskneuron {

void CompareOptions::declare(OptionList& list) {
  list.add("files", &files, Effect::kInput,
           "Sets (.json) or unions of them (a.json+b.json), or score files (.safetensors)")
      .positional()
      .required();
  list.add("top", &top, Effect::kResult, "Scores: size of the top sets that are compared");
  list.add("scope", &scope, Effect::kResult, std::string("Scores: ") + kScopeHelp);
  list.add("seed", &seed, Effect::kResult, "Unions: seed of the draws of their members");
}

void CompareOptions::check() const {
  check_declared(*this);
  if (files.size() < 2) throw UsageError("nothing to compare; give two files or more");
  parse_percent(top);
  parse_scope(scope);
}

namespace {

// One argument: a score file, a set, or a union of sets.
struct Compared {
  std::string name;
  std::vector<NeuronSet> members;
  NeuronSet set;  // the union of the members
  std::optional<SiteRelevance> relevance;

  bool is_union() const { return members.size() > 1; }
};

bool is_set(const std::string& path) { return std::filesystem::path(path).extension() == ".json"; }

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

Compared load_compared(const CompareOptions& options, const std::string& argument, bool sets) {
  const std::vector<std::string> files = member_files(argument);
  Compared compared;
  compared.name = argument;
  if (sets) {
    for (const std::string& file : files) compared.members.push_back(load_set(file));
    compared.set = union_of(compared.members);
    return compared;
  }
  if (files.size() > 1) {
    throw UsageError(fmt::format("'{}': a union is of sets; make them with select, e.g. from {}",
                                 argument, files.front()));
  }
  const Scores scores = load_scores(argument);
  compared.relevance = site_relevance(scores, {}, parse_aggregate(scores.info.aggregate));
  compared.set =
      select_top(*compared.relevance, parse_percent(options.top), parse_scope(options.scope));
  compared.members = {compared.set};
  return compared;
}

ComparedPair compare_pair(const Compared& a, const Compared& b, std::uint64_t seed) {
  ComparedPair pair;
  pair.a = a.name;
  pair.b = b.name;
  pair.overlap = compare_sets(a.set, b.set);  // refuses what has other shapes
  if (a.relevance) pair.relevance = compare_relevance(*a.relevance, *b.relevance);
  if (a.is_union() || b.is_union()) {
    pair.independent = independent_chance(a.members, b.members, seed);
  }
  return pair;
}

// The pairs are a family, under either null.
void adjust(std::vector<ComparedPair>& pairs) {
  std::vector<double> permuted, independent;
  for (const ComparedPair& pair : pairs) {
    permuted.push_back(pair.overlap.p);
    if (pair.independent) independent.push_back(pair.independent->p);
  }
  permuted = benjamini_hochberg(permuted);
  independent = benjamini_hochberg(independent);
  std::size_t next = 0;
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    pairs[i].p_adjusted = permuted[i];
    if (pairs[i].independent) pairs[i].independent_p_adjusted = independent[next++];
  }
}

}  // namespace

CompareResult compare(const CompareOptions& options) {
  options.check();
  const bool sets = is_set(options.files.front());
  std::vector<Compared> items;
  for (const std::string& argument : options.files) {
    items.push_back(load_compared(options, argument, sets));
  }
  CompareResult result;
  for (std::size_t i = 0; i < items.size(); ++i) {
    for (std::size_t j = i + 1; j < items.size(); ++j) {
      result.pairs.push_back(compare_pair(items[i], items[j], options.seed));
    }
  }
  adjust(result.pairs);
  if (items.size() > 2) {
    std::vector<NeuronSet> all;
    for (const Compared& item : items) all.push_back(item.set);
    result.together = joint_overlap(all);
  }
  return result;
}

}  // namespace taskneuron

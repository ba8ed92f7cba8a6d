#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <sstream>

#include "cli/command.h"
#include "cli/provenance.h"
#include "taskneuron/base/error.h"
#include "taskneuron/base/inference.h"
#include "taskneuron/neuron/comparison.h"

namespace taskneuron::cli {

namespace {

struct Options {
  CommonOptions common;
  std::vector<std::string> files;
  std::string top = "10%";
  std::string scope = "global";
  std::uint64_t seed = 0;
  ResultOptions result;
};

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

Compared load_compared(const Options& options, const std::string& argument, bool sets) {
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

OutputJson set_json(const SetComparison& comparison) {
  return {{"first", comparison.first},
          {"second", comparison.second},
          {"common", comparison.common},
          {"jaccard", comparison.jaccard},
          {"expected_common", comparison.expected_common},
          {"expected_jaccard", comparison.expected_jaccard},
          {"ratio", or_null(comparison.ratio)},
          {"p", comparison.p}};
}

OutputJson pair_json(const Options& options, const Compared& a, const Compared& b) {
  OutputJson json = {{"a", a.name}, {"b", b.name}};
  const SetComparison overlap = compare_sets(a.set, b.set);  // refuses what has other shapes
  if (a.relevance) {
    const ScoreComparison found = compare_relevance(*a.relevance, *b.relevance);
    json.update({{"pearson", found.pearson}, {"spearman", found.spearman}, {"top", options.top}});
  }
  json.update(set_json(overlap));
  json["p_adjusted"] = nullptr;
  if (!a.is_union() && !b.is_union()) return json;
  const IndependentChance chance = independent_chance(a.members, b.members, options.seed);
  json["independent"] = {{"expected_common", chance.expected_common},
                         {"expected_jaccard", chance.expected_jaccard},
                         {"ratio", or_null(chance.ratio)},
                         {"p", chance.p},
                         {"p_adjusted", nullptr},
                         {"draws", chance.draws}};
  return json;
}

// Fills p_adjusted: the pairs are a family.
void adjust_pairs(const std::vector<OutputJson*>& family) {
  std::vector<double> p;
  for (const OutputJson* row : family) p.push_back(row->at("p").get<double>());
  const std::vector<double> adjusted = benjamini_hochberg(p);
  for (std::size_t i = 0; i < family.size(); ++i) (*family[i])["p_adjusted"] = adjusted[i];
}

OutputJson all_pairs(const Options& options, const std::vector<Compared>& items) {
  OutputJson pairs = OutputJson::array();
  for (std::size_t i = 0; i < items.size(); ++i) {
    for (std::size_t j = i + 1; j < items.size(); ++j) {
      pairs.push_back(pair_json(options, items[i], items[j]));
    }
  }
  std::vector<OutputJson*> permuted, independent;
  for (OutputJson& pair : pairs) {
    permuted.push_back(&pair);
    if (pair.contains("independent")) independent.push_back(&pair["independent"]);
  }
  adjust_pairs(permuted);
  adjust_pairs(independent);
  return pairs;
}

OutputJson together_json(const std::vector<Compared>& items) {
  std::vector<NeuronSet> sets;
  for (const Compared& item : items) sets.push_back(item.set);
  const JointOverlap joint = joint_overlap(sets);
  return {{"sets", sets.size()},
          {"common", joint.common},
          {"in_any", joint.in_any},
          {"expected_common", joint.expected_common},
          {"expected_in_any", joint.expected_in_any},
          {"ratio", or_null(joint.ratio)},
          {"p", joint.p}};
}

std::string decimals(const OutputJson& value) { return fmt::format("{:.4f}", value.get<double>()); }

std::string ratio_text(const OutputJson& ratio) {
  return ratio.is_null() ? "–" : fmt::format("{:.2f}", ratio.get<double>());
}

// What is expected under a null, and how far the pair is from it.
std::vector<std::string> chance_cells(const OutputJson& chance) {
  return {decimals(chance["expected_jaccard"]), ratio_text(chance["ratio"]),
          p_text(chance["p"].get<double>()), p_text(chance["p_adjusted"].get<double>())};
}

void print_pairs(const OutputJson& pairs) {
  const bool scores = pairs[0].contains("pearson");
  const bool unions = std::any_of(pairs.begin(), pairs.end(), [](const OutputJson& pair) {
    return pair.contains("independent");
  });
  std::vector<std::string> header = {"a", "b"};
  if (scores) header.insert(header.end(), {"pearson", "spearman"});
  header.insert(header.end(), {"common", "jaccard"});
  if (unions) header.emplace_back("null");
  header.insert(header.end(), {"by chance", "ratio", "p", "p (BH)"});
  Table table(header);
  const auto add = [&](const OutputJson& pair, const char* null, const OutputJson& chance) {
    std::vector<std::string> row = {pair["a"].get<std::string>(), pair["b"].get<std::string>()};
    if (scores) row.insert(row.end(), {decimals(pair["pearson"]), decimals(pair["spearman"])});
    row.push_back(fmt::format("{} of {} and {}", pair["common"].get<std::int64_t>(),
                              pair["first"].get<std::int64_t>(),
                              pair["second"].get<std::int64_t>()));
    row.push_back(decimals(pair["jaccard"]));
    if (unions) row.emplace_back(null);
    const std::vector<std::string> cells = chance_cells(chance);
    row.insert(row.end(), cells.begin(), cells.end());
    table.add(row);
  };
  for (const OutputJson& pair : pairs) {
    add(pair, "permuted", pair);
    if (pair.contains("independent")) add(pair, "independent", pair["independent"]);
  }
  table.print();
}

void print_together(const OutputJson& together) {
  fmt::print(
      "all {}: {} units in every one (by chance {:.1f}, ratio {}, p = {}), {} in any (by chance "
      "{:.1f})\n",
      together["sets"].get<std::int64_t>(), together["common"].get<std::int64_t>(),
      together["expected_common"].get<double>(), ratio_text(together["ratio"]),
      p_text(together["p"].get<double>()), together["in_any"].get<std::int64_t>(),
      together["expected_in_any"].get<double>());
}

void run(const Options& options) {
  options.common.apply();
  if (options.files.size() < 2) throw UsageError("compare needs two files or more");
  parse_percent(options.top);
  parse_scope(options.scope);
  options.result.check();
  const bool sets = is_set(options.files.front());
  std::vector<Compared> items;
  for (const std::string& argument : options.files) {
    items.push_back(load_compared(options, argument, sets));
  }
  OutputJson json = {{"pairs", all_pairs(options, items)}};
  if (items.size() > 2) json["together"] = together_json(items);
  options.result.write(json);
  if (options.common.json) return print_json(json);
  print_pairs(json["pairs"]);
  if (items.size() > 2) print_together(json["together"]);
}

}  // namespace

void add_compare(CLI::App& app) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("compare", "How alike sets or scores of tasks are");
  command
      ->add_option("FILES", options->files,
                   "Sets (.json) or unions of them (a.json+b.json), or score files (.safetensors)")
      ->required();
  command->add_option("--top", options->top, "Scores: size of the top sets that are compared")
      ->capture_default_str();
  command->add_option("--scope", options->scope, "Scores: global or layer")->capture_default_str();
  command->add_option("--seed", options->seed, "Unions: seed of the draws of their members")
      ->capture_default_str();
  options->result.add_to(*command);
  options->common.add_to(*command);
  command->footer(
      std::string(
          "Prints the Jaccard overlap next to the one expected by chance with the same number of "
          "units\n"
          "per layer, their ratio and the p of at least as much; for unions also with every member "
          "set\n"
          "drawn by itself; for scores also the correlations of relevance over all units.\n\n"
          "Examples:\n  taskneuron compare scitail.safetensors amazonfood.safetensors\n"
          "  taskneuron compare qqp.json+mnli.json paws.json+gptnli.json") +
      kTermsFooter);
  command->callback([options] { run(*options); });
}

}  // namespace taskneuron::cli

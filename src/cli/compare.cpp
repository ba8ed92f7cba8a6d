#include <fmt/format.h>

#include <filesystem>

#include "cli/command.h"
#include "taskneuron/base/error.h"
#include "taskneuron/neuron/comparison.h"

namespace taskneuron::cli {

namespace {

struct Options {
  CommonOptions common;
  std::vector<std::string> files;
  std::string top = "10%";
  std::string scope = "global";
  ResultOptions result;
};

bool is_set(const std::string& path) { return std::filesystem::path(path).extension() == ".json"; }

OutputJson set_json(const SetComparison& comparison) {
  return {{"first", comparison.first},
          {"second", comparison.second},
          {"common", comparison.common},
          {"jaccard", comparison.jaccard},
          {"expected_common", comparison.expected_common},
          {"expected_jaccard", comparison.expected_jaccard}};
}

// Pairs of the files, each with what compare(a, b) returns.
template <typename Item, typename Compare>
OutputJson all_pairs(const std::vector<std::string>& files, const std::vector<Item>& items,
                     const Compare& compare) {
  OutputJson pairs = OutputJson::array();
  for (std::size_t i = 0; i < items.size(); ++i) {
    for (std::size_t j = i + 1; j < items.size(); ++j) {
      OutputJson pair = {{"a", files[i]}, {"b", files[j]}};
      pair.update(compare(items[i], items[j]));
      pairs.push_back(pair);
    }
  }
  return pairs;
}

std::string decimals(const OutputJson& value) { return fmt::format("{:.4f}", value.get<double>()); }

void print_pairs(const OutputJson& pairs) {
  const bool scores = pairs[0].contains("pearson");
  std::vector<std::string> header = {"a", "b"};
  if (scores) header.insert(header.end(), {"pearson", "spearman"});
  header.insert(header.end(), {"common", "jaccard", "by chance"});
  Table table(header);
  for (const OutputJson& pair : pairs) {
    std::vector<std::string> row = {pair["a"].get<std::string>(), pair["b"].get<std::string>()};
    if (scores) row.insert(row.end(), {decimals(pair["pearson"]), decimals(pair["spearman"])});
    row.push_back(fmt::format("{} of {}", pair["common"].get<std::int64_t>(),
                              pair["first"].get<std::int64_t>()));
    row.push_back(decimals(pair["jaccard"]));
    row.push_back(decimals(pair["expected_jaccard"]));
    table.add(row);
  }
  table.print();
}

void run(const Options& options) {
  options.common.apply();
  if (options.files.size() < 2) throw UsageError("compare needs two files or more");
  options.result.check();
  OutputJson pairs;
  if (is_set(options.files.front())) {
    std::vector<NeuronSet> sets;
    for (const std::string& path : options.files) sets.push_back(load_set(path));
    pairs = all_pairs(options.files, sets, [](const NeuronSet& a, const NeuronSet& b) {
      return set_json(compare_sets(a, b));
    });
  } else {
    const double percent = parse_percent(options.top);
    const Scope scope = parse_scope(options.scope);
    std::vector<SiteRelevance> relevance;
    for (const std::string& path : options.files) {
      const Scores scores = load_scores(path);
      relevance.push_back(site_relevance(scores, {}, parse_aggregate(scores.info.aggregate)));
    }
    pairs =
        all_pairs(options.files, relevance, [&](const SiteRelevance& a, const SiteRelevance& b) {
          const ScoreComparison comparison = compare_relevance(a, b, percent, scope);
          OutputJson json = {{"pearson", comparison.pearson}, {"spearman", comparison.spearman}};
          json["top"] = options.top;
          json.update(set_json(comparison.top));
          return json;
        });
  }
  options.result.write({{"pairs", pairs}});
  if (options.common.json) return print_json({{"pairs", pairs}});
  print_pairs(pairs);
}

}  // namespace

void add_compare(CLI::App& app) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("compare", "How alike sets or scores of tasks are");
  command->add_option("FILES", options->files, "Sets (.json), or score files (.safetensors)")
      ->required();
  command->add_option("--top", options->top, "Scores: size of the top sets that are compared")
      ->capture_default_str();
  command->add_option("--scope", options->scope, "Scores: global or layer")->capture_default_str();
  options->result.add_to(*command);
  options->common.add_to(*command);
  command->footer(
      std::string(
          "Prints the Jaccard overlap next to the one expected by chance with the same number of "
          "units\n"
          "per layer; for scores also the correlations of relevance over all units.\n\n"
          "Example:\n  taskneuron compare scitail.safetensors amazonfood.safetensors") +
      kTermsFooter);
  command->callback([options] { run(*options); });
}

}  // namespace taskneuron::cli

#include "taskneuron/recipe/compare.h"

#include <fmt/format.h>

#include <algorithm>

#include "cli/command.h"
#include "cli/provenance.h"

namespace taskneuron::cli {

namespace {

struct Options {
  CommonOptions common;
  CompareOptions compare;
  ResultOptions result;
};

OutputJson pair_json(const ComparedPair& pair, const std::string& top) {
  OutputJson json = {{"a", pair.a}, {"b", pair.b}};
  if (pair.relevance) {
    json.update({{"pearson", pair.relevance->pearson},
                 {"spearman", pair.relevance->spearman},
                 {"top", top}});
  }
  json.update({{"first", pair.overlap.first},
               {"second", pair.overlap.second},
               {"common", pair.overlap.common},
               {"jaccard", pair.overlap.jaccard},
               {"expected_common", pair.overlap.expected_common},
               {"expected_jaccard", pair.overlap.expected_jaccard},
               {"ratio", or_null(pair.overlap.ratio)},
               {"p", pair.overlap.p},
               {"p_adjusted", pair.p_adjusted}});
  if (!pair.independent) return json;
  json["independent"] = {{"expected_common", pair.independent->expected_common},
                         {"expected_jaccard", pair.independent->expected_jaccard},
                         {"ratio", or_null(pair.independent->ratio)},
                         {"p", pair.independent->p},
                         {"p_adjusted", *pair.independent_p_adjusted},
                         {"draws", pair.independent->draws}};
  return json;
}

OutputJson result_json(const CompareResult& found, const CompareOptions& options) {
  OutputJson json = {{"pairs", OutputJson::array()}};
  for (const ComparedPair& pair : found.pairs) {
    json["pairs"].push_back(pair_json(pair, options.top));
  }
  if (!found.together) return json;
  const JointOverlap& joint = *found.together;
  json["together"] = {{"sets", options.files.size()},
                      {"common", joint.common},
                      {"in_any", joint.in_any},
                      {"expected_common", joint.expected_common},
                      {"expected_in_any", joint.expected_in_any},
                      {"ratio", or_null(joint.ratio)},
                      {"p", joint.p}};
  return json;
}

std::string decimals(double value) { return fmt::format("{:.4f}", value); }

std::string ratio_text(const std::optional<double>& ratio) {
  return ratio ? fmt::format("{:.2f}", *ratio) : "–";
}

// One row a null: what is expected under it, and how far the pair is from it.
class PairTable {
 public:
  PairTable(bool scores, bool unions) : scores_(scores), unions_(unions), table_(header()) {}

  void add(const ComparedPair& pair) {
    row(pair, "permuted",
        {decimals(pair.overlap.expected_jaccard), ratio_text(pair.overlap.ratio),
         p_text(pair.overlap.p), p_text(pair.p_adjusted)});
    if (!pair.independent) return;
    row(pair, "independent",
        {decimals(pair.independent->expected_jaccard), ratio_text(pair.independent->ratio),
         p_text(pair.independent->p), p_text(pair.independent_p_adjusted)});
  }
  void print() const { table_.print(); }

 private:
  std::vector<std::string> header() const {
    std::vector<std::string> names = {"a", "b"};
    if (scores_) names.insert(names.end(), {"pearson", "spearman"});
    names.insert(names.end(), {"common", "jaccard"});
    if (unions_) names.emplace_back("null");
    names.insert(names.end(), {"by chance", "ratio", "p", "p (BH)"});
    return names;
  }
  void row(const ComparedPair& pair, const char* null, const std::vector<std::string>& chance) {
    std::vector<std::string> cells = {pair.a, pair.b};
    if (scores_) {
      cells.push_back(decimals(pair.relevance->pearson));
      cells.push_back(decimals(pair.relevance->spearman));
    }
    cells.push_back(fmt::format("{} of {} and {}", pair.overlap.common, pair.overlap.first,
                                pair.overlap.second));
    cells.push_back(decimals(pair.overlap.jaccard));
    if (unions_) cells.emplace_back(null);
    cells.insert(cells.end(), chance.begin(), chance.end());
    table_.add(cells);
  }

  bool scores_;
  bool unions_;
  Table table_;
};

void print(const CompareResult& found, std::size_t files) {
  const bool unions =
      std::any_of(found.pairs.begin(), found.pairs.end(),
                  [](const ComparedPair& pair) { return pair.independent.has_value(); });
  PairTable table(found.pairs.front().relevance.has_value(), unions);
  for (const ComparedPair& pair : found.pairs) table.add(pair);
  table.print();
  if (!found.together) return;
  const JointOverlap& joint = *found.together;
  fmt::print(
      "all {}: {} units in every one (by chance {:.1f}, ratio {}, p = {}), {} in any (by chance "
      "{:.1f})\n",
      files, joint.common, joint.expected_common, ratio_text(joint.ratio), p_text(joint.p),
      joint.in_any, joint.expected_in_any);
}

void run(const Options& options) {
  options.common.apply();
  options.compare.check();
  options.result.check();
  const CompareResult found = compare(options.compare);
  const OutputJson json = result_json(found, options.compare);
  options.result.write(json);
  if (options.common.json) return print_json(json);
  print(found, options.compare.files.size());
}

}  // namespace

void add_compare(CLI::App& app) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("compare", "How alike sets or scores of tasks are");
  add_options(*command, options->compare);
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

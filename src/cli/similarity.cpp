#include "taskneuron/recipe/similarity.h"

#include <fmt/format.h>

#include "cli/command.h"
#include "cli/overlap_output.h"

namespace taskneuron::cli {

namespace {

struct Options {
  CommonOptions common;
  SimilarityOptions similarity;
  ResultOptions result;
};

OutputJson layers_json(const LayerSimilarity& similarity) {
  OutputJson layers = OutputJson::array();
  for (const std::optional<double>& value : similarity.layers) layers.push_back(or_null(value));
  return {{"layers", layers}, {"mean", or_null(similarity.mean)}};
}

OutputJson pair_json(const SimilarPair& pair) {
  OutputJson definitions = OutputJson::object();
  const UnitSimilarity& found = pair.found;
  if (found.masked) {
    definitions["masked"] = layers_json(*found.masked);
    definitions["masked"]["overlap_only"] = layers_json(*found.overlap_only);
  }
  if (found.mean) definitions["mean"] = layers_json(*found.mean);
  if (found.ranked) definitions["ranked"] = layers_json(*found.ranked);
  return {{"a", pair.a}, {"b", pair.b}, {"definitions", definitions}};
}

OutputJson result_json(const SimilarityResult& found, const SimilarityOptions& options) {
  OutputJson json = model_json(options.model, found.folder);
  json["model_hash"] = found.hash;
  json["other"] = options.other.empty() ? OutputJson(nullptr) : OutputJson(options.other);
  if (!options.other.empty()) json["other_hash"] = found.other_hash;
  if (!options.scores.empty()) json.update({{"top", options.top}, {"scope", options.scope}});
  json["pairs"] = OutputJson::array();
  for (const SimilarPair& pair : found.pairs) json["pairs"].push_back(pair_json(pair));
  json["peak_memory_bytes"] = found.peak_memory_bytes;
  return json;
}

std::string text_of(const std::optional<double>& value) {
  return value ? fmt::format("{:.4f}", *value) : "–";
}

void add_row(Table& table, const SimilarPair& pair, const char* definition,
             const LayerSimilarity& similarity) {
  std::string layers;
  for (const std::optional<double>& value : similarity.layers) {
    layers +=
        fmt::format("{}{}", layers.empty() ? "" : " ", value ? fmt::format("{:.2f}", *value) : "–");
  }
  table.add({pair.a, pair.b, definition, text_of(similarity.mean), layers});
}

void print(const SimilarityResult& found) {
  std::vector<std::string> names;
  for (const SimilarPair& pair : found.pairs) names.insert(names.end(), {pair.a, pair.b});
  const std::size_t folder = common_folder(names);
  Table table({"a", "b", "definition", "mean", "per layer"});
  for (SimilarPair pair : found.pairs) {
    pair.a.erase(0, folder);
    pair.b.erase(0, folder);
    if (pair.found.masked) {
      add_row(table, pair, "masked", *pair.found.masked);
      add_row(table, pair, "  overlap only", *pair.found.overlap_only);
    }
    if (pair.found.mean) add_row(table, pair, "mean", *pair.found.mean);
    if (pair.found.ranked) add_row(table, pair, "ranked", *pair.found.ranked);
  }
  table.print();
}

void run(const Options& options) {
  options.common.apply();
  options.similarity.check();
  options.result.check();
  const SimilarityResult found = similarity(options.similarity);
  const OutputJson json = result_json(found, options.similarity);
  options.result.write(json);
  if (options.common.json) return print_json(json);
  print(found);
}

}  // namespace

void add_similarity(CLI::App& app) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      add_command(app, "similarity", "Cosine of the parameters that two tasks' units own");
  add_options(*command, options->similarity);
  options->result.add_to(*command);
  options->common.add_to(*command);
  set_run(
      *command,
      std::string(
          "Per layer, and the mean over layers where both sets have units. Beside masked stands\n"
          "overlap only: what it would be if all units' parameters were equally large.\n\n"
          "Examples:\n"
          "  taskneuron similarity trained-on-qqp --set qqp.json --with paws.json sst2.json\n"
          "  taskneuron similarity trained-on-qqp --scores qqp.safetensors \\\n"
          "    --with-scores paws.safetensors --top 10% --definition masked mean ranked --json") +
          kTermsFooter,
      [options] { run(*options); });
}

}  // namespace taskneuron::cli

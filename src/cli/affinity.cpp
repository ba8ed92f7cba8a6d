#include "taskneuron/recipe/affinity.h"

#include <fmt/format.h>

#include "base/file.h"
#include "cli/command.h"
#include "cli/inference_json.h"
#include "cli/provenance.h"

namespace taskneuron::cli {

namespace {

struct Options {
  CommonOptions common;
  ModelOptions model;
  AffinityOptions affinity;
  ResultOptions result;
};

OutputJson cosine_json(const GradientCosine& cosine) {
  OutputJson layers = OutputJson::array();
  for (const std::optional<double>& value : cosine.layers) layers.push_back(or_null(value));
  return {{"cosine", or_null(cosine.all)}, {"layers", layers}};
}

OutputJson pair_json(const AffinityPair& pair) {
  return {{"source", pair.source},
          {"target", pair.target},
          {"jaccard", pair.overlap.jaccard},
          {"expected", pair.overlap.expected_jaccard},
          {"ratio", or_null(pair.overlap.ratio)},
          {"p", pair.overlap.p},
          {"signed_cosine", or_null(pair.relevance.cosine)},
          {"signed_correlation", or_null(pair.relevance.correlation)},
          {"gradient", cosine_json(pair.gradient)},
          {"own_gradient", cosine_json(pair.own_gradient)}};
}

OutputJson result_json(const Session& session, const AffinityResult& found,
                       const AffinityOptions& options) {
  OutputJson json = {{"format", "taskneuron.affinity/1"}};
  json.update(model_json(session));
  json.update({{"model_hash", session.checkpoint().hash()},
               {"deltas", deltas_json(session.deltas())},
               {"split", options.data.split},
               {"top", options.top},
               {"scope", options.scope},
               {"layers_at_a_time", found.layers_at_a_time},
               {"peak_memory_bytes", found.peak_memory_bytes},
               {"tasks", OutputJson::array()},
               {"pairs", OutputJson::array()}});
  for (const AffinityTask& task : found.tasks) {
    json["tasks"].push_back({{"task", task.task},
                             {"type", task.type},
                             {"labels", task.labels},
                             {"examples", task.examples},
                             {"loss", task.loss},
                             {"units", task.units},
                             {"scores", task.scores}});
  }
  for (const AffinityPair& pair : found.pairs) json["pairs"].push_back(pair_json(pair));
  return json;
}

void print(const AffinityResult& found) {
  Table table({"source", "target", "jaccard", "by chance", "ratio", "signed cosine",
               "gradient cosine", "of own units"});
  for (const AffinityPair& pair : found.pairs) {
    table.add({pair.source, pair.target, number_text(pair.overlap.jaccard),
               number_text(pair.overlap.expected_jaccard), number_text(pair.overlap.ratio),
               number_text(pair.relevance.cosine), number_text(pair.gradient.all),
               number_text(pair.own_gradient.all)});
  }
  table.print();
}

void run(const Options& options) {
  options.common.apply();
  options.affinity.check();
  options.result.check();
  const Session session(options.model);
  const AffinityResult found = affinity(session, options.affinity);
  const OutputJson json = result_json(session, found, options.affinity);
  options.result.write(json);
  if (options.common.json) return print_json(json);
  print(found);
}

}  // namespace

void add_affinity(CLI::App& app) {
  auto options = std::make_shared<Options>();
  CLI::App* command = add_command(
      app, "affinity", "What the base model says of every pair of tasks, before any training");
  add_options(*command, options->model, options->affinity);
  options->result.add_to(*command);
  options->common.add_to(*command);
  set_run(
      *command,
      std::string(
          "Overlap of the tasks' own units, whether they push both losses the same way, and the\n"
          "cosine of the tasks' mean gradients over the FFNs and over the source's own units.\n"
          "`taskneuron forecast` tells how well that foresees what training on one does to the\n"
          "other.\n\n"
          "Example:\n"
          "  taskneuron affinity MODEL --task qqp sst2 mnli --scores scores/*.safetensors \\\n"
          "    --limit 200 --out affinity.json") +
          kTermsFooter,
      [options] { run(*options); });
}

}  // namespace taskneuron::cli

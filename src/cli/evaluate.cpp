#include "taskneuron/recipe/evaluate.h"

#include <fmt/format.h>

#include "cli/command.h"
#include "cli/provenance.h"
#include "evaluate/result_rows.h"
#include "taskneuron/base/error.h"

namespace taskneuron::cli {

namespace {

struct Options {
  CommonOptions common;
  ModelOptions model;
  EvaluateOptions evaluate;
  ResultOptions result;
};

// The set that a row is of: null for the model as it is beside others.
void name_set(OutputJson& entry, const Options& options, const std::string& set) {
  if (options.evaluate.sets.empty()) return;
  entry["set"] = nullptr;
  if (!set.empty()) entry["set"] = set;
}

OutputJson task_json(const EvaluatedTask& task, const Options& options) {
  OutputJson json = result_row(task.result);
  json["truncated"] = task.result.truncated;
  add_loss(json, task.loss);
  name_set(json, options, task.set);
  return json;
}

OutputJson text_json(const EvaluatedText& text, const Options& options) {
  const PerplexityResult& result = text.result;
  OutputJson json = {{"text", options.evaluate.text},
                     {"metric", "perplexity"},
                     {"value", result.perplexity},
                     {"stderr", result.standard_error},
                     {"tokens", result.tokens},
                     {"window", text.window},
                     {"loss", result.loss}};
  name_set(json, options, text.set);
  return json;
}

OutputJson result_json(const Options& options, const Session& session,
                       const EvaluateResult& found) {
  OutputJson json = model_json(session);
  json.update({{"model_hash", found.hashes.model},
               {"template", found.template_name},
               {"template_hash", found.hashes.prompt_template},
               {"deltas", deltas_json(session.deltas())}});
  if (!options.evaluate.sets.empty()) json["mode"] = options.evaluate.mode;
  if (!found.references.empty()) json["references"] = references_json(found.references);
  json["results"] = OutputJson::array();
  for (const EvaluatedTask& task : found.tasks) {
    json["results"].push_back(task_json(task, options));
  }
  for (const EvaluatedText& text : found.text) json["results"].push_back(text_json(text, options));
  if (!options.evaluate.sets.empty()) json["warnings"] = warnings_json(found.warnings);
  return json;
}

void print(const Options& options, const EvaluateResult& found) {
  Table table({"task", "split", "metric", "value", "stderr", "loss ± 95%", "n", "units changed"});
  const auto changed = [&](const std::string& set) {
    return set.empty() && !options.evaluate.sets.empty() ? "none" : set;
  };
  for (const auto& [set, result, loss] : found.tasks) {
    table.add({result.task, result.split, result.metric.name, fmt::format("{:.4f}", result.value),
               fmt::format("{:.4f}", result.standard_error), loss_text(loss),
               std::to_string(result.examples), changed(set)});
  }
  for (const auto& [set, window, result] : found.text) {
    table.add({options.evaluate.text, "", "perplexity", fmt::format("{:.3f}", result.perplexity),
               fmt::format("{:.3f}", result.standard_error), fmt::format("{:.4f}", result.loss),
               std::to_string(result.tokens), changed(set)});
  }
  table.print();
  print_warnings(found.warnings);
}

void run(Options& options) {
  options.common.apply();
  options.result.check();
  if (!options.evaluate.predictions.empty() &&
      options.evaluate.predictions == options.result.output.out) {
    throw UsageError("`out` and `predictions` name the same file");
  }
  options.evaluate.force = options.result.output.force;
  options.evaluate.check();
  const Session session(options.model);
  const EvaluateResult found = evaluate(session, options.evaluate);
  const OutputJson json = result_json(options, session, found);
  options.result.write(json);
  if (options.common.json) return print_json(json);
  print(options, found);
}

}  // namespace

void add_evaluate(CLI::App& app) {
  auto options = std::make_shared<Options>();
  CLI::App* command = add_command(
      app, "evaluate", "Metrics of a model on tasks, as it is or with units switched off");
  add_options(*command, options->model, options->evaluate);
  options->result.add_to(*command);
  options->common.add_to(*command);
  set_shared_run(
      *command,
      std::string(
          "Examples:\n  taskneuron evaluate examples/models/mini --task examples/tasks/scitail\n"
          "  taskneuron evaluate examples/models/mini --task examples/tasks/scitail --set "
          "scitail.json") +
          kTermsFooter,
      {&options->evaluate.predictions, &options->result.output.out}, [options] { run(*options); });
}

}  // namespace taskneuron::cli

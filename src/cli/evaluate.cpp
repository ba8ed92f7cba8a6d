#include <fmt/format.h>

#include "cli/command.h"
#include "cli/provenance.h"
#include "cli/references.h"
#include "cli/warnings.h"
#include "evaluate/result_rows.h"
#include "taskneuron/base/error.h"
#include "taskneuron/evaluate/evaluation.h"
#include "taskneuron/evaluate/variant.h"

namespace taskneuron::cli {

namespace {

struct Options {
  CommonOptions common;
  ModelOptions model;
  DataOptions data;
  std::vector<std::string> sets;
  std::string mode = "activation";
  std::string scoring;
  std::string stop = "blank-line";
  std::int64_t max_new_tokens = 0;
  std::string text;
  std::string predictions;
  ResultOptions result;
  bool allow_other_weights = false;
};

std::vector<NeuronSet> load_sets(const Options& options, const LoadedModel& model) {
  std::vector<NeuronSet> sets;
  for (const std::string& path : options.sets) {
    sets.push_back(load_set(path));
    require_fit(sets.back(), model.checkpoint().config(), model.checkpoint().hash(),
                options.allow_other_weights ? OtherWeights::kAllow : OtherWeights::kRefuse, path);
  }
  return sets;
}

// The model as it is, and with each set changed.
std::vector<Variant> make_variants(const Options& options, const LoadedModel& model,
                                   const std::vector<NeuronSet>& sets,
                                   const References& references) {
  std::vector<Variant> variants;
  variants.push_back(original_variant(model.decoder()));
  for (std::size_t i = 0; i < sets.size(); ++i) {
    variants.push_back(set_variant(model.decoder(), sets[i], parse_mode(options.mode), references,
                                   options.sets[i]));
  }
  return variants;
}

ReferenceRuns::Request reference_request(const Options& options, const LoadedModel& model,
                                         const std::vector<NeuronSet>& sets) {
  ReferenceRuns::Request request;
  if (sets.empty()) return request;
  request.modes = {parse_mode(options.mode)};
  for (const NeuronSet& set : sets) {
    for (const auto& site : set.sites) request.sites.insert(site.first);
  }
  if (!options.text.empty()) {
    request.text = model.tokenizer().encode(read_file(options.text), SpecialTokens::kLeaveOut);
  }
  return request;
}

std::optional<Scoring> parse_scoring(const std::string& name) {
  if (name.empty()) return std::nullopt;
  for (const Scoring scoring :
       {Scoring::kRank, Scoring::kRankNorm, Scoring::kGenerate, Scoring::kLoss}) {
    if (name == scoring_name(scoring)) return scoring;
  }
  throw UsageError(
      fmt::format("--scoring '{}' is unknown; use rank, rank-norm, generate or loss", name));
}

EvaluationOptions evaluation_options(const Options& options) {
  if (options.stop != "blank-line" && options.stop != "newline") {
    throw UsageError(
        fmt::format("--stop '{}' is unknown; use blank-line or newline", options.stop));
  }
  return {parse_scoring(options.scoring),
          options.stop == "newline" ? StopRule::kNewline : StopRule::kBlankLine,
          options.max_new_tokens};
}

LossInterval loss_of(const TaskResult& result) {
  std::vector<double> losses;
  for (const Prediction& prediction : result.predictions) losses.push_back(prediction.loss);
  return LossInterval(losses);
}

// The set that a row is of: null for the model as it is beside others.
void name_set(OutputJson& entry, const Options& options, const Variant& variant) {
  if (options.sets.empty()) return;
  entry["set"] = nullptr;
  if (!variant.name.empty()) entry["set"] = variant.name;
}

std::string units_changed(const Options& options, const Variant& variant) {
  return variant.name.empty() && !options.sets.empty() ? "none" : variant.name;
}

// What tells a prediction of this result from others in the file.
OutputJson prediction_key(const TaskResult& result, const std::string& set) {
  OutputJson key = {{"task", result.task}};
  if (!set.empty()) key["set"] = set;
  return key;
}

// What is evaluated, and where rows of results go.
struct Run {
  const Options& options;
  const LoadedModel& model;
  const ExampleEncoder& encoder;
  const std::vector<NeuronSet>& sets;
  ReferenceRuns& references;
  Table& table;
};

OutputJson run_text(const Run& run) {
  const auto& [options, model, encoder, sets, references, table] = run;
  const std::vector<std::int64_t> ids =
      model.tokenizer().encode(read_file(options.text), SpecialTokens::kLeaveOut);
  const std::int64_t window = model.encoder_options(options.data).max_tokens;
  const BatchLimits limits =
      options.data
          .fit(model.checkpoint(), model.decoder(),
               perplexity_demand(static_cast<std::int64_t>(ids.size()), window))
          .limits;
  OutputJson results = OutputJson::array();
  for (const Variant& variant : make_variants(options, model, sets, references.of_text())) {
    Progress bar("perplexity", static_cast<std::int64_t>(ids.size()) / window + 1);
    const PerplexityResult result = evaluate_perplexity(
        *variant.decoder, *variant.hook, ids, window, limits,
        [&](std::int64_t windows, std::int64_t tokens) { bar.advance(windows, tokens); });
    OutputJson entry = {{"text", options.text},       {"metric", "perplexity"},
                        {"value", result.perplexity}, {"stderr", result.standard_error},
                        {"tokens", result.tokens},    {"window", window},
                        {"loss", result.loss}};
    name_set(entry, options, variant);
    results.push_back(entry);
    table.add({options.text, "", "perplexity", fmt::format("{:.3f}", result.perplexity),
               fmt::format("{:.3f}", result.standard_error), fmt::format("{:.4f}", result.loss),
               std::to_string(result.tokens), units_changed(options, variant)});
  }
  return results;
}

OutputJson run_task(const Run& run, const std::string& folder, AtomicFile* predictions) {
  const auto& [options, model, encoder, sets, references, table] = run;
  const Task task = load_task(folder);
  const TaskEvaluation evaluation(task, options.data.split,
                                  load_split(task, options.data.split, options.data.limit), encoder,
                                  evaluation_options(options));
  note_truncated(task.name, evaluation.truncated(), evaluation.examples());
  const std::vector<Variant> variants =
      make_variants(options, model, sets, references.of_task(task, options.data.split));
  const BatchLimits limits =
      options.data.fit(model.checkpoint(), model.decoder(), evaluation.demand()).limits;
  OutputJson results = OutputJson::array();
  for (const Variant& variant : variants) {
    Progress bar(fmt::format("evaluate {}", task.name), evaluation.examples());
    const TaskResult result = evaluation.run(
        *variant.decoder, *variant.hook, limits,
        [&](std::int64_t examples, std::int64_t tokens) { bar.advance(examples, tokens); });
    OutputJson entry = result_row(result);
    entry["truncated"] = result.truncated;
    loss_of(result).add_to(entry);
    name_set(entry, options, variant);
    results.push_back(entry);
    if (predictions != nullptr) {
      write_predictions(*predictions, prediction_key(result, variant.name), result);
    }
    table.add({result.task, result.split, result.metric, fmt::format("{:.4f}", result.value),
               fmt::format("{:.4f}", result.standard_error), loss_of(result).text(),
               std::to_string(result.examples), units_changed(options, variant)});
  }
  return results;
}

void run(const Options& options) {
  options.common.apply();
  if (options.data.tasks.empty() && options.text.empty()) {
    throw UsageError("evaluate needs --task or --text");
  }
  parse_mode(options.mode);
  evaluation_options(options);
  options.result.check();
  if (!options.predictions.empty() && options.predictions == options.result.output.out) {
    throw UsageError("--out and --predictions name the same file");
  }
  std::optional<AtomicFile> predictions;
  if (!options.predictions.empty()) {
    predictions.emplace(options.predictions, options.result.output.existing());
  }
  const PromptTemplate prompt = find_template(options.data, options.model.folder);
  const LoadedModel model(options.model);
  const ExampleEncoder encoder(model.tokenizer(), prompt, model.encoder_options(options.data));
  const std::vector<NeuronSet> sets = load_sets(options, model);
  ReferenceRuns references(options.data, model, encoder, reference_request(options, model, sets));
  Table table({"task", "split", "metric", "value", "stderr", "loss ± 95%", "n", "units changed"});
  const Run run{options, model, encoder, sets, references, table};
  OutputJson results = OutputJson::array();
  const auto take = [&](const OutputJson& entries) {
    for (const OutputJson& entry : entries) results.push_back(entry);
  };
  blame_weights(model.checkpoint(), [&] {
    for (const std::string& folder : options.data.tasks) {
      take(run_task(run, folder, predictions ? &*predictions : nullptr));
    }
    if (!options.text.empty()) take(run_text(run));
  });
  if (predictions) predictions->commit();
  OutputJson json = model.named();
  json.update({{"model_hash", model.checkpoint().hash()},
               {"template", prompt.name()},
               {"template_hash", prompt.hash()},
               {"deltas", deltas_json(delta_inputs(options.model.deltas))}});
  if (!options.sets.empty()) json["mode"] = options.mode;
  if (!references.json().empty()) json["references"] = references.json();
  json["results"] = results;
  const std::vector<Warning> warnings =
      set_warnings(options.sets, sets, options.data.tasks, options.data.split,
                   {prompt.hash(), model.checkpoint().hash()});
  if (!options.sets.empty()) json["warnings"] = warnings_json(warnings);
  options.result.write(json);
  if (options.common.json) return print_json(json);
  table.print();
  print_warnings(warnings);
}

}  // namespace

void add_evaluate(CLI::App& app) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand(
      "evaluate", "Metrics of a model on tasks, as it is or with units switched off");
  options->model.add_to(*command);
  options->data.add_to(*command, "test", /*tasks_required=*/false);
  command->add_option("--set", options->sets,
                      "Sets of units to change, one result each, beside the model as it is");
  command->add_option("--mode", options->mode, kModeHelp)->capture_default_str();
  command->add_option(
      "--scoring", options->scoring,
      "rank, rank-norm, generate or loss; default: rank for classification, generate "
      "for generation");
  command
      ->add_option("--stop", options->stop,
                   "Where generated text ends beside end-of-sequence: blank-line or newline")
      ->capture_default_str();
  command
      ->add_option("--max-new-tokens", options->max_new_tokens,
                   "Longest generated text; 0: the longest answer of the train split")
      ->check(at_least(0))
      ->capture_default_str();
  command->add_option("--text", options->text, "Text file whose perplexity is measured");
  command->add_option("--predictions", options->predictions,
                      "Write every prediction as JSON lines");
  options->result.add_to(*command);
  command->add_flag("--allow-other-weights", options->allow_other_weights,
                    "Use sets that were made for other weights of the same shape");
  options->common.add_to(*command);
  command->footer(
      std::string(
          "Examples:\n  taskneuron evaluate examples/models/mini --task examples/tasks/scitail\n"
          "  taskneuron evaluate examples/models/mini --task examples/tasks/scitail --set "
          "scitail.json") +
      kTermsFooter);
  command->callback([options] { run(*options); });
}

}  // namespace taskneuron::cli

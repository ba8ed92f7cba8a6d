#include "taskneuron/recipe/evaluate.h"

#include <fmt/format.h>

#include <optional>

#include "base/file.h"
#include "evaluate/result_rows.h"
#include "recipe/blame.h"
#include "recipe/fitting_set.h"
#include "recipe/help.h"
#include "recipe/references.h"
#include "recipe/warnings.h"
#include "taskneuron/base/error.h"
#include "taskneuron/base/progress.h"
#include "taskneuron/evaluate/variant.h"

namespace taskneuron {

void EvaluateOptions::declare(OptionList& list) {
  data.declare(list);
  list.at("task").is_required = false;
  list.add("set", &sets, Effect::kInput,
           "Sets of units to change, one result each, beside the model as it is");
  list.add("mode", &mode, Effect::kResult, kModeHelp);
  list.add("scoring", &scoring, Effect::kResult,
           "rank, rank-norm, generate or loss; default: rank for classification, generate for "
           "generation");
  list.add("stop", &stop, Effect::kResult,
           "Where generated text ends beside end-of-sequence: blank-line or newline");
  list.add("max_new_tokens", &max_new_tokens, Effect::kResult,
           "Longest generated text; 0: the longest answer of the train split")
      .at_least(0);
  list.add("text", &text, Effect::kInput, "Text file whose perplexity is measured");
  list.add("predictions", &predictions, Effect::kNone, "Write every prediction as JSON lines");
  list.add("allow_other_weights", &allow_other_weights, Effect::kNone, kOtherWeightsHelp);
}

namespace {

std::optional<Scoring> parse_scoring(const std::string& name) {
  if (name.empty()) return std::nullopt;
  for (const Scoring scoring :
       {Scoring::kRank, Scoring::kRankNorm, Scoring::kGenerate, Scoring::kLoss}) {
    if (name == scoring_name(scoring)) return scoring;
  }
  throw UsageError("scoring", name, "rank, rank-norm, generate or loss");
}

EvaluationOptions evaluation_options(const EvaluateOptions& options) {
  if (options.stop != "blank-line" && options.stop != "newline") {
    throw UsageError("stop", options.stop, "blank-line or newline");
  }
  return {parse_scoring(options.scoring),
          options.stop == "newline" ? StopRule::kNewline : StopRule::kBlankLine,
          options.max_new_tokens};
}

std::vector<NeuronSet> load_sets(const EvaluateOptions& options, const Checkpoint& checkpoint) {
  std::vector<NeuronSet> sets;
  for (const std::string& path : options.sets) {
    sets.push_back(load_fitting_set(path, checkpoint, other_weights(options.allow_other_weights)));
  }
  return sets;
}

ReferenceRuns::Request reference_request(const Mode& mode, const std::vector<NeuronSet>& sets,
                                         const TextWindows& text) {
  ReferenceRuns::Request request;
  if (sets.empty()) return request;
  request.modes = {mode};
  request.sites = sites_of(sets);
  request.text = text;
  return request;
}

LossInterval loss_of(const TaskResult& result) {
  std::vector<double> losses;
  for (const Prediction& prediction : result.predictions) losses.push_back(prediction.loss);
  return loss_interval(losses);
}

// Everything that is evaluated, and what was found so far.
class Evaluator {
 public:
  Evaluator(const TaskReader& reader, const EvaluateOptions& options)
      : reader_(reader),
        options_(options),
        how_(evaluation_options(options)),
        mode_(parse_mode(options.mode)),
        sets_(load_sets(options, reader.session().checkpoint())),
        text_(options.text.empty() ? TextWindows() : reader.read_text(options.text, 0)),
        references_(reader, reference_request(mode_, sets_, text_)) {}

  void run_task(const std::string& folder, AtomicFile* predictions);
  void run_text();
  EvaluateResult finish();

 private:
  // The model as it is, and with each set changed.
  std::vector<Variant> variants(const References& references) const;

  const TaskReader& reader_;
  const EvaluateOptions& options_;
  EvaluationOptions how_;
  Mode mode_;
  std::vector<NeuronSet> sets_;
  TextWindows text_;
  ReferenceRuns references_;
  EvaluateResult found_;
};

std::vector<Variant> Evaluator::variants(const References& references) const {
  const Decoder& decoder = reader_.session().decoder();
  std::vector<Variant> variants;
  variants.push_back(original_variant(decoder));
  for (std::size_t i = 0; i < sets_.size(); ++i) {
    variants.push_back(set_variant(decoder, sets_[i], mode_, references, options_.sets[i]));
  }
  return variants;
}

void Evaluator::run_task(const std::string& folder, AtomicFile* predictions) {
  const DataOptions& data = options_.data;
  const Task task = load_task(folder);
  const TaskEvaluation evaluation(task, data.split, load_split(task, data.split, data.limit),
                                  reader_.encoder(), how_);
  note_truncated(task.name, evaluation.truncated(), evaluation.examples());
  const std::vector<Variant> changed = variants(references_.of_task(task, data.split));
  const BatchLimits limits = reader_.fit(evaluation.demand()).limits;
  for (const Variant& variant : changed) {
    Progress bar(fmt::format("evaluate {}", task.name), evaluation.examples());
    TaskResult result = evaluation.run(
        *variant.decoder, *variant.hook, limits,
        [&](std::int64_t examples, std::int64_t tokens) { bar.advance(examples, tokens); });
    if (predictions != nullptr) {
      OutputJson key = {{"task", result.task}};
      if (!variant.name.empty()) key["set"] = variant.name;
      write_predictions(*predictions, key, result);
    }
    const LossInterval loss = loss_of(result);
    result.predictions.clear();
    found_.tasks.push_back({variant.name, std::move(result), loss});
  }
}

void Evaluator::run_text() {
  const BatchLimits limits = reader_.fit(perplexity_demand(text_)).limits;
  for (const Variant& variant : variants(references_.of_text())) {
    Progress bar("perplexity", std::ssize(text_.windows));
    found_.text.push_back({variant.name, text_.window_tokens,
                           evaluate_perplexity(*variant.decoder, *variant.hook, text_, limits,
                                               [&](std::int64_t windows, std::int64_t ran) {
                                                 bar.advance(windows, ran);
                                               })});
  }
}

EvaluateResult Evaluator::finish() {
  found_.template_name = reader_.prompt().name();
  found_.hashes = {reader_.prompt().hash(), reader_.session().checkpoint().hash()};
  found_.references = references_.texts();
  found_.warnings =
      set_warnings(options_.sets, sets_, options_.data.tasks, options_.data.split, found_.hashes);
  return std::move(found_);
}

}  // namespace

void EvaluateOptions::check() const {
  check_declared(*this);
  data.check();
  if (data.tasks.empty() && text.empty()) {
    throw UsageError("nothing to evaluate; give `task` or `text`");
  }
  const Mode parsed = parse_mode(mode);
  if (!sets.empty()) require_text(parsed, text);
  evaluation_options(*this);
  if (!predictions.empty()) {
    require_writable(predictions, force ? Existing::kReplace : Existing::kRefuse);
  }
}

EvaluateResult evaluate(const Session& session, const EvaluateOptions& options) {
  options.check();
  std::optional<AtomicFile> predictions;
  if (!options.predictions.empty()) {
    predictions.emplace(options.predictions,
                        options.force ? Existing::kReplace : Existing::kRefuse);
  }
  const TaskReader reader(session, options.data);
  EvaluateResult result;
  blame_weights(session.checkpoint(), [&] {
    Evaluator evaluator(reader, options);
    for (const std::string& folder : options.data.tasks) {
      evaluator.run_task(folder, predictions ? &*predictions : nullptr);
    }
    if (!options.text.empty()) evaluator.run_text();
    result = evaluator.finish();
  });
  if (predictions) predictions->commit();
  return result;
}

}  // namespace taskneuron

#include "taskneuron/recipe/ablate.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <optional>

#include "base/file.h"
#include "recipe/ablate_parts.h"
#include "recipe/blame.h"
#include "recipe/fitting_set.h"
#include "recipe/help.h"
#include "recipe/references.h"
#include "taskneuron/base/error.h"
#include "taskneuron/base/interruption.h"
#include "taskneuron/base/progress.h"
#include "taskneuron/neuron/ranking.h"

namespace taskneuron {

void AblateOptions::declare(OptionList& list) {
  data.declare(list);
  list.add("scores", &scores, Effect::kInput,
           "Score files of the tasks, made by detect; or a set (.json) for each task, switched off "
           "as it is; its task is the one that it was made of, else its file's name")
      .required();
  list.add("top", &tops, Effect::kResult,
           "Shares of the units, in percent; several show the response to the dose");
  list.add("scope", &scopes, Effect::kResult, std::string(kScopeHelp) + "; or both");
  list.add("site", &sites, Effect::kResult,
           std::string("Only these sites of the score files. ") + kSitesHelp);
  list.add("aggregate", &aggregate, Effect::kResult,
           "example, token or dataset; default: what the score file names");
  list.add("mode", &modes, Effect::kResult,
           std::string(kModeHelp) + ". activation and parameter together show that they agree");
  list.add("random_seeds", &random_seeds, Effect::kResult,
           "How many random sets of each kind; 19 let one task alone reach p = .05")
      .at_least(1);
  list.add("random_kind", &random_kinds, Effect::kResult,
           std::string(kRandomKindHelp) + "; or several");
  list.add("seed", &seed, Effect::kResult,
           "Seed of random sets (beside their task, kind and number) and of permutations");
  list.add("own_only", &own_only, Effect::kResult,
           "Leave out what each task loses with other tasks' units off");
  list.add("text", &text, Effect::kInput,
           "Text file that has nothing to do with the tasks: the side effect is its perplexity "
           "under the same sets");
  list.add("text_tokens", &text_tokens, Effect::kResult, "Of the text, so many; 0: all")
      .at_least(0);
  list.add(
      "keep", &keep, Effect::kNone,
      "Folder that keeps every evaluation when it is done: the same command, killed and started "
      "again, goes on from there");
  list.add("predictions", &predictions, Effect::kNone,
           "Folder for every example under every set, as JSON lines, a file per task");
  list.add("allow_other_weights", &allow_other_weights, Effect::kNone,
           "Use scores that were made for other weights of the same shape");
}

namespace {

// One dose: a share of the units, chosen over the model or within layers.
struct Dose {
  std::string top;
  std::string scope;
};

// Sets instead of scores: no dose is left to choose.
bool are_sets(const AblateOptions& options) { return is_set(options.scores.front()); }

Ranking ranking_of(const AblateOptions& options, const Scores& scores) {
  const std::string aggregate =
      options.aggregate.empty() ? scores.info.aggregate : options.aggregate;
  return Ranking(site_relevance(scores, parse_sites(options.sites), parse_aggregate(aggregate)));
}

// What a task's own set is taken from.
struct Source {
  std::string path;
  ScoreInfo info;  // of a set, as far as it says
  std::optional<Ranking> ranking;
  NeuronSet set;  // where there is no ranking
};

Source read_set(const std::string& path) {
  Source source{path, {}, std::nullopt, load_set(path)};
  const auto from = [&](const char* key, const std::string& otherwise) {
    const auto found = source.set.from.find(key);
    return found == source.set.from.end() ? otherwise : found->second;
  };
  source.info.task = from("task", std::filesystem::path(path).stem().string());
  source.info.split = from("split", "");
  source.info.template_hash = from("template_hash", "");
  source.info.model_hash = source.set.model_hash;
  if (source.set.size() == 0) throw Error(fmt::format("{}: the set is empty", path));
  return source;
}

TaskSets make_sets(const AblateOptions& options, const Checkpoint& checkpoint, const Source& source,
                   const Dose& dose) {
  TaskSets sets;
  sets.task = source.info.task;
  sets.own = source.ranking ? source.ranking->top(parse_percent(dose.top), parse_scope(dose.scope))
                            : source.set;
  sets.own.model_hash = source.info.model_hash;
  require_fit(sets.own, checkpoint.config(), checkpoint.hash(),
              other_weights(options.allow_other_weights), source.path);
  for (const std::string& kind_name : options.random_kinds) {
    const RandomKind kind = parse_random_kind(kind_name);
    std::vector<NeuronSet>& random = sets.random[kind];
    random.clear();
    for (std::int64_t i = 0; i < options.random_seeds; ++i) {
      random.push_back(random_set(sets.own, {kind, sets.task, options.seed, i}));
    }
  }
  return sets;
}

class Ablation {
 public:
  Ablation(const TaskReader& reader, const AblateOptions& options)
      : reader_(reader), options_(options) {
    if (!options_.keep.empty()) {
      kept_.emplace(reader_, options_);
      told_.emplace(
          fmt::format("interrupted: {} holds an ablation that has begun; the same "
                      "command goes on with it",
                      options_.keep));
    }
    load_sources();
    make_conditions();
    if (!options_.text.empty()) text_.emplace(options_, reader_);
    references_.emplace(reader_, reference_request());
  }

  void run();
  AblateResult finish();

 private:
  void load_sources();
  // Sets of every dose, in the order of `top` and `scope`.
  void make_conditions();
  ReferenceRuns::Request reference_request() const;
  DeactivatedTask run_task(const std::string& folder);

  const TaskReader& reader_;
  const AblateOptions& options_;
  std::vector<Source> sources_;
  std::optional<TextEvaluation> text_;
  std::optional<ReferenceRuns> references_;
  std::optional<KeptEvaluations> kept_;
  std::optional<LineWhenInterrupted> told_;
  AblateResult found_;
};

void Ablation::load_sources() {
  for (const std::string& path : options_.scores) {
    if (are_sets(options_)) {
      sources_.push_back(read_set(path));
    } else {
      const Scores scores = load_scores(path);
      sources_.push_back({path, scores.info, ranking_of(options_, scores), {}});
    }
    const std::string& task = sources_.back().info.task;
    for (std::size_t i = 0; i + 1 < sources_.size(); ++i) {
      if (sources_[i].info.task != task) continue;
      throw UsageError(fmt::format("{}: another of the `scores` is of task '{}' too", path, task));
    }
  }
}

void Ablation::make_conditions() {
  const Checkpoint& checkpoint = reader_.session().checkpoint();
  const std::vector<std::string> as_given = {"as given"};
  for (const std::string& top : are_sets(options_) ? as_given : options_.tops) {
    for (const std::string& scope : are_sets(options_) ? as_given : options_.scopes) {
      auto sets = std::make_unique<std::vector<TaskSets>>();
      for (const Source& source : sources_) {
        sets->push_back(make_sets(options_, checkpoint, source, {top, scope}));
      }
      for (const std::string& mode : options_.modes) {
        found_.conditions.push_back({top, scope, mode, parse_mode(mode), sets.get()});
      }
      found_.doses.push_back(std::move(sets));
    }
  }
}

ReferenceRuns::Request Ablation::reference_request() const {
  ReferenceRuns::Request request;
  for (const std::string& mode : options_.modes) request.modes.push_back(parse_mode(mode));
  for (const auto& dose : found_.doses) {
    for (const TaskSets& sets : *dose) request.sites.merge(sites_of({sets.own}));
  }
  if (text_) request.text = text_->windows();
  request.seed = options_.seed;
  return request;
}

DeactivatedTask Ablation::run_task(const std::string& folder) {
  const DataOptions& data = options_.data;
  const Task task = load_task(folder);
  const TaskEvaluation evaluation(task, data.split, load_split(task, data.split, data.limit),
                                  reader_.encoder(), {});
  note_truncated(task.name, evaluation.truncated(), evaluation.examples());
  DeactivationOptions how;
  how.references = references_->of_task(task, data.split);
  how.others = options_.own_only ? OtherTasks::kLeaveOut : OtherTasks::kSwitchOff;
  const std::int64_t runs = deactivation_runs(found_.conditions, task.name, how.others);
  Progress bar(fmt::format("ablate {}", task.name), runs * evaluation.examples());
  how.seed = options_.seed;
  how.limits = reader_.fit(evaluation.demand()).limits;
  how.progress = [&](std::int64_t examples, std::int64_t tokens) { bar.advance(examples, tokens); };
  if (kept_) {
    how.once = [&](const EvaluatedRow& row, const std::function<TaskResult()>& evaluate) {
      if (std::optional<TaskResult> known = kept_->find(evaluation, task.name, row)) {
        bar.skip(evaluation.examples());
        return *std::move(known);
      }
      TaskResult result = evaluate();
      kept_->keep(row, result);
      return result;
    };
  }
  std::optional<AblatePredictions> predictions;
  if (!options_.predictions.empty()) {
    predictions.emplace(options_.predictions, task.name,
                        options_.force ? Existing::kReplace : Existing::kRefuse);
    how.evaluated = [&](const EvaluatedRow& row, const TaskResult& result) {
      predictions->write(row, result);
    };
  }
  DeactivatedTask result =
      deactivate(reader_.session().decoder(), evaluation, task.name, found_.conditions, how);
  if (predictions) predictions->commit();
  return result;
}

void Ablation::run() {
  for (const std::string& folder : options_.data.tasks) found_.tasks.push_back(run_task(folder));
  if (text_) text_->run(found_, references_->of_text(), kept_ ? &*kept_ : nullptr);
}

AblateResult Ablation::finish() {
  adjust_families(found_.tasks);
  found_.seed = options_.seed;
  found_.template_name = reader_.prompt().name();
  found_.hashes = {reader_.prompt().hash(), reader_.session().checkpoint().hash()};
  found_.references = references_->texts();
  std::vector<ScoreInfo> origins;
  for (const Source& source : sources_) origins.push_back(source.info);
  found_.warnings = ablate_warnings(found_, origins);
  return std::move(found_);
}

}  // namespace

void AblateOptions::check() const {
  check_declared(*this);
  data.check();
  if (!aggregate.empty()) parse_aggregate(aggregate);
  parse_sites(sites);
  for (const std::string& top : tops) parse_percent(top);
  for (const std::string& kind : random_kinds) parse_random_kind(kind);
  for (const std::string& mode : modes) require_text(parse_mode(mode), text);
  for (const std::string& scope : scopes) parse_scope(scope);
  for (const std::string& path : scores) {
    if (is_set(path) == is_set(scores.front())) continue;
    throw UsageError(fmt::format("{}: give either score files or sets (.json) as `scores`", path));
  }
  const AblateOptions defaults;
  if (are_sets(*this) && (tops != defaults.tops || scopes != defaults.scopes || !sites.empty() ||
                          !aggregate.empty())) {
    throw UsageError(
        "`top`, `scope`, `site` and `aggregate` are for score files; a set is switched off as it "
        "is");
  }
  if (predictions.empty()) return;
  for (const std::string& folder : data.tasks) {
    require_writable(std::filesystem::path(predictions) / (load_task(folder).name + ".jsonl"),
                     force ? Existing::kReplace : Existing::kRefuse);
  }
}

AblateResult ablate(const Session& session, const AblateOptions& options) {
  options.check();
  const TaskReader reader(session, options.data);
  AblateResult result;
  blame_weights(session.checkpoint(), [&] {
    Ablation ablation(reader, options);
    ablation.run();
    result = ablation.finish();
  });
  return result;
}

std::vector<std::pair<std::size_t, std::size_t>> agreeing(
    const std::vector<Condition>& conditions) {
  std::vector<std::pair<std::size_t, std::size_t>> pairs;
  for (std::size_t a = 0; a < conditions.size(); ++a) {
    for (std::size_t b = 0; b < conditions.size(); ++b) {
      if (conditions[a].sets == conditions[b].sets && conditions[a].mode_name == "activation" &&
          conditions[b].mode_name == "parameter") {
        pairs.emplace_back(a, b);
      }
    }
  }
  return pairs;
}

}  // namespace taskneuron

#include "cli/ablate.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>

#include "base/file.h"
#include "cli/provenance.h"
#include "cli/references.h"
#include "taskneuron/base/error.h"

namespace taskneuron::cli {

namespace {

struct Options {
  CommonOptions common;
  ResultOptions result;
  ModelOptions model;
  DataOptions data;
  std::vector<std::string> scores;
  std::vector<std::string> tops = {"10%"};
  std::vector<std::string> scopes = {"global"};
  std::vector<std::string> sites;
  std::string aggregate;
  std::vector<std::string> modes = {"activation"};
  std::vector<std::string> random_kinds = {"matched"};
  std::int64_t random_seeds = kSetsForAlpha;
  std::uint64_t seed = 0;
  bool own_only = false;
  std::string text;
  std::int64_t text_tokens = 0;
  std::string predictions;
  bool allow_other_weights = false;

  OtherTasks others() const { return own_only ? OtherTasks::kLeaveOut : OtherTasks::kSwitchOff; }
};

// One dose: a share of the units, chosen over the model or within layers.
struct Dose {
  std::string top;
  std::string scope;
  std::vector<TaskSets> sets;
};

Ranking ranking_of(const Options& options, const Scores& scores) {
  const std::string aggregate =
      options.aggregate.empty() ? scores.info.aggregate : options.aggregate;
  return Ranking(site_relevance(scores, parse_sites(options.sites), parse_aggregate(aggregate)));
}

// info: of the scores that the ranking is of.
TaskSets make_sets(const Options& options, const LoadedModel& model, const std::string& path,
                   const Ranking& ranking, const ScoreInfo& info, const Dose& dose) {
  TaskSets sets;
  sets.task = info.task;
  sets.own = ranking.top(parse_percent(dose.top), parse_scope(dose.scope));
  sets.own.model_hash = info.model_hash;
  require_fit(sets.own, model.checkpoint().config(), model.checkpoint().hash(),
              options.allow_other_weights ? OtherWeights::kAllow : OtherWeights::kRefuse, path);
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

std::vector<Scores> load_all_scores(const Options& options) {
  std::vector<Scores> all;
  for (const std::string& path : options.scores) {
    all.push_back(load_scores(path));
    for (std::size_t i = 0; i + 1 < all.size(); ++i) {
      if (all[i].info.task != all.back().info.task) continue;
      throw UsageError(
          fmt::format("{}: another score file is of task '{}' too", path, all.back().info.task));
    }
  }
  return all;
}

// Sets of every dose, in the order of --top and --scope.
std::vector<Dose> make_doses(const Options& options, const LoadedModel& model,
                             const std::vector<Scores>& scores) {
  std::vector<Ranking> rankings;
  for (const Scores& one : scores) rankings.push_back(ranking_of(options, one));
  std::vector<Dose> doses;
  for (const std::string& top : options.tops) {
    for (const std::string& scope : options.scopes) {
      Dose& dose = doses.emplace_back(Dose{top, scope, {}});
      for (std::size_t i = 0; i < scores.size(); ++i) {
        dose.sets.push_back(
            make_sets(options, model, options.scores[i], rankings[i], scores[i].info, dose));
      }
    }
  }
  return doses;
}

class TextEvaluation {
 public:
  TextEvaluation(const Options& options, const LoadedModel& model)
      : decoder_(model.decoder()),
        ids_(model.tokenizer().encode(read_file(options.text), SpecialTokens::kLeaveOut)),
        window_(model.encoder_options(options.data).max_tokens) {
    const auto tokens = static_cast<std::int64_t>(ids_.size());
    if (options.text_tokens > 0) ids_.resize(std::min(tokens, options.text_tokens));
    if (ids_.size() < 2) {
      throw Error(
          fmt::format("{}: a text of fewer than two tokens has no perplexity", options.text));
    }
    limits_ =
        options.data.fit(model.checkpoint(), decoder_, perplexity_demand(size(), window_)).limits;
  }

  std::int64_t size() const { return static_cast<std::int64_t>(ids_.size()); }
  const std::vector<std::int64_t>& ids() const { return ids_; }

  // Perplexity with every set of the conditions off, and as the model is.
  void run(AblateReport& report, const References& references) const {
    std::int64_t runs = 1;
    for (const Condition& condition : report.conditions) {
      for (const TaskSets& sets : *condition.sets) {
        ++runs;
        for (const auto& kind : sets.random) runs += static_cast<std::int64_t>(kind.second.size());
      }
    }
    Progress bar("perplexity", runs * size());
    report.text_tokens = size();
    report.text_perplexity = perplexity(original_variant(decoder_), bar);
    for (const Condition& condition : report.conditions) {
      std::vector<SideEffect>& effects = report.side_effects.emplace_back();
      const auto off = [&](const NeuronSet& set) {
        return perplexity(set_variant(decoder_, set, condition.mode, references, ""), bar);
      };
      for (const TaskSets& sets : *condition.sets) {
        SideEffect& effect = effects.emplace_back();
        effect.task = sets.task;
        effect.own = off(sets.own);
        for (const auto& [kind, random] : sets.random) {
          for (const NeuronSet& set : random) effect.random[kind].push_back(off(set));
        }
      }
    }
  }

 private:
  double perplexity(const Variant& variant, Progress& bar) const {
    return evaluate_perplexity(
               *variant.decoder, *variant.hook, ids_, window_, limits_,
               [&](std::int64_t, std::int64_t tokens) { bar.advance(tokens, tokens); })
        .perplexity;
  }

  const Decoder& decoder_;
  std::vector<std::int64_t> ids_;
  std::int64_t window_;
  BatchLimits limits_;
};

ReferenceRuns::Request reference_request(const Options& options, const std::vector<Dose>& doses,
                                         const std::optional<TextEvaluation>& text) {
  ReferenceRuns::Request request;
  for (const std::string& mode : options.modes) request.modes.push_back(parse_mode(mode));
  for (const Dose& dose : doses) {
    for (const TaskSets& sets : dose.sets) {
      for (const auto& site : sets.own.sites) request.sites.insert(site.first);
    }
  }
  if (text) request.text = text->ids();
  request.seed = options.seed;
  return request;
}

DeactivatedTask ablate_task(const Options& options, const LoadedModel& model,
                            const ExampleEncoder& encoder, const std::string& folder,
                            const std::vector<Condition>& conditions, ReferenceRuns& references) {
  const Task task = load_task(folder);
  const TaskEvaluation evaluation(task, options.data.split,
                                  load_split(task, options.data.split, options.data.limit), encoder,
                                  {});
  note_truncated(task.name, evaluation.truncated(), evaluation.examples());
  DeactivationOptions how;
  how.references = references.of_task(task, options.data.split);
  const std::int64_t runs = deactivation_runs(conditions, task.name, options.others());
  Progress bar(fmt::format("ablate {}", task.name), runs * evaluation.examples());
  how.others = options.others();
  how.seed = options.seed;
  how.limits = options.data.fit(model.checkpoint(), model.decoder(), evaluation.demand()).limits;
  how.progress = [&](std::int64_t examples, std::int64_t tokens) { bar.advance(examples, tokens); };
  std::optional<AblatePredictions> predictions;
  if (!options.predictions.empty()) {
    predictions.emplace(options.predictions, task.name, options.result.output.existing());
    how.evaluated = [&](const EvaluatedRow& row, const TaskResult& result) {
      predictions->write(row, result);
    };
  }
  const DeactivatedTask result =
      deactivate(model.decoder(), evaluation, task.name, conditions, how);
  if (predictions) predictions->commit();
  return result;
}

void run(const Options& options) {
  options.common.apply();
  for (const std::string& top : options.tops) parse_percent(top);
  for (const std::string& kind : options.random_kinds) parse_random_kind(kind);
  for (const std::string& mode : options.modes) parse_mode(mode);
  for (const std::string& scope : options.scopes) parse_scope(scope);
  options.result.check();
  if (!options.predictions.empty()) {
    for (const std::string& folder : options.data.tasks) {
      require_writable(
          std::filesystem::path(options.predictions) / (load_task(folder).name + ".jsonl"),
          options.result.output.existing());
    }
  }
  const PromptTemplate prompt = find_template(options.data, options.model.folder);
  const LoadedModel model(options.model);
  const ExampleEncoder encoder(model.tokenizer(), prompt, model.encoder_options(options.data));
  const std::vector<Scores> scores = load_all_scores(options);
  const std::vector<Dose> doses = make_doses(options, model, scores);
  std::optional<TextEvaluation> text;
  if (!options.text.empty()) text.emplace(options, model);
  ReferenceRuns references(options.data, model, encoder, reference_request(options, doses, text));
  AblateReport report;
  report.seed = options.seed;
  for (const Dose& dose : doses) {
    for (const std::string& mode : options.modes) {
      report.conditions.push_back({dose.top, dose.scope, mode, parse_mode(mode), &dose.sets});
    }
  }
  blame_weights(model.checkpoint(), [&] {
    for (const std::string& folder : options.data.tasks) {
      report.tasks.push_back(
          ablate_task(options, model, encoder, folder, report.conditions, references));
    }
    if (text) text->run(report, references.of_text());
  });
  adjust_families(report.tasks);
  report.warnings = ablate_warnings(report, scores, {prompt.hash(), model.checkpoint().hash()});
  OutputJson json = model.named();
  json.update({{"model_hash", model.checkpoint().hash()},
               {"top", fmt::format("{}", fmt::join(options.tops, ", "))},
               {"scope", fmt::format("{}", fmt::join(options.scopes, ", "))},
               {"mode", fmt::format("{}", fmt::join(options.modes, ", "))},
               {"random_kind", fmt::format("{}", fmt::join(options.random_kinds, ", "))},
               {"template", prompt.name()},
               {"template_hash", prompt.hash()},
               {"seed", options.seed},
               {"deltas", deltas_json(delta_inputs(options.model.deltas))}});
  if (!references.json().empty()) json["references"] = references.json();
  json.update(report.json());
  options.result.write(json);
  if (!options.common.json) return report.print();
  print_json(json);
}

}  // namespace

void add_ablate(CLI::App& app) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand(
      "ablate", "Switch off the units of tasks, and random ones, and see what each task loses");
  options->model.add_to(*command);
  options->data.add_to(*command, "test");
  command->add_option("--scores", options->scores, "Score files of the tasks, made by detect")
      ->required();
  command
      ->add_option("--top", options->tops,
                   "Shares of the units, in percent; several show the response to the dose")
      ->capture_default_str();
  command
      ->add_option("--scope", options->scopes,
                   "global: of all units; layer: of each layer's; or both")
      ->capture_default_str();
  command->add_option("--site", options->sites,
                      std::string("Only these sites of the score files. ") + kSitesHelp);
  command->add_option("--aggregate", options->aggregate,
                      "example, token or dataset; default: what the score file names");
  command
      ->add_option("--mode", options->modes,
                   std::string(kModeHelp) +
                       ". activation and parameter together show that they "
                       "agree")
      ->capture_default_str();
  command
      ->add_option("--random-seeds", options->random_seeds,
                   "How many random sets of each kind; 19 let one task alone reach p = .05")
      ->check(at_least(1))
      ->capture_default_str();
  command
      ->add_option("--random-kind", options->random_kinds,
                   "matched: as many per layer as the task's set; uniform: anywhere; outside: as "
                   "matched, but none of the task's own; or several")
      ->capture_default_str();
  command
      ->add_option("--seed", options->seed,
                   "Seed of random sets (beside their task, kind and number) and of permutations")
      ->capture_default_str();
  command->add_flag("--own-only", options->own_only,
                    "Leave out what each task loses with other tasks' units off");
  command->add_option("--text", options->text,
                      "Text file that has nothing to do with the tasks: the side effect is its "
                      "perplexity under the same sets");
  command->add_option("--text-tokens", options->text_tokens, "Of the text, so many; 0: all")
      ->check(at_least(0))
      ->capture_default_str();
  command->add_option("--predictions", options->predictions,
                      "Folder for every example under every set, as JSON lines, a file per task");
  command->add_flag("--allow-other-weights", options->allow_other_weights,
                    "Use scores that were made for other weights of the same shape");
  options->result.add_to(*command);
  options->common.add_to(*command);
  command->footer(
      std::string(
          "Examples:\n  taskneuron ablate examples/models/mini --task examples/tasks/scitail \\\n"
          "    --scores scitail.safetensors --top 10%\n"
          "  taskneuron ablate examples/models/mini --task examples/tasks/scitail "
          "examples/tasks/babi \\\n"
          "    --scores scores/scitail.safetensors scores/babi.safetensors --top 1% 3% 10% \\\n"
          "    --random-kind matched uniform --text README.md") +
      kTermsFooter);
  command->callback([options] { run(*options); });
}

}  // namespace taskneuron::cli

#include "cli/ablate.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>

#include "base/file.h"
#include "cli/provenance.h"
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
  std::string scope = "global";
  std::vector<std::string> sites;
  std::string aggregate;
  std::vector<std::string> modes = {"activation"};
  std::vector<std::string> random_kinds = {"matched"};
  std::int64_t random_seeds = 5;
  std::uint64_t seed = 0;
  bool own_only = false;
  std::string text;
  std::int64_t text_tokens = 0;
  bool allow_other_weights = false;

  OtherTasks others() const { return own_only ? OtherTasks::kLeaveOut : OtherTasks::kSwitchOff; }
};

TaskSets make_sets(const Options& options, const LoadedModel& model, const std::string& path,
                   const std::string& top) {
  const Scores scores = load_scores(path);
  const std::string aggregate =
      options.aggregate.empty() ? scores.info.aggregate : options.aggregate;
  TaskSets sets;
  sets.task = scores.info.task;
  sets.own =
      select_top(site_relevance(scores, parse_sites(options.sites), parse_aggregate(aggregate)),
                 parse_percent(top), parse_scope(options.scope));
  sets.own.model_hash = scores.info.model_hash;
  require_fit(sets.own, model.checkpoint().config(), model.checkpoint().hash(),
              options.allow_other_weights ? OtherWeights::kAllow : OtherWeights::kRefuse, path);
  for (const std::string& kind_name : options.random_kinds) {
    const RandomKind kind = parse_random_kind(kind_name);
    std::vector<NeuronSet>& random = sets.random[kind];
    random.clear();
    for (std::int64_t i = 0; i < options.random_seeds; ++i) {
      random.push_back(random_set(sets.own, kind, options.seed + static_cast<std::uint64_t>(i)));
    }
  }
  return sets;
}

// Sets of every dose, in the order of --top.
std::vector<std::vector<TaskSets>> make_doses(const Options& options, const LoadedModel& model) {
  std::vector<std::vector<TaskSets>> doses;
  for (const std::string& top : options.tops) {
    std::vector<TaskSets>& sets = doses.emplace_back();
    for (const std::string& path : options.scores) {
      sets.push_back(make_sets(options, model, path, top));
      for (std::size_t i = 0; i + 1 < sets.size(); ++i) {
        if (sets[i].task != sets.back().task) continue;
        throw UsageError(
            fmt::format("{}: another score file is of task '{}' too", path, sets.back().task));
      }
    }
  }
  return doses;
}

bool same_units(const NeuronSet& a, const NeuronSet& b) {
  return a.sites.size() == b.sites.size() &&
         std::equal(a.sites.begin(), a.sites.end(), b.sites.begin(),
                    [](const auto& x, const auto& y) {
                      return x.first == y.first && x.second.units == y.second.units;
                    });
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

  // Perplexity with every set of the conditions off, and as the model is.
  void run(AblateReport& report) const {
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
      // Uniform sets of one seed and size are the same for all tasks.
      std::vector<std::pair<const NeuronSet*, double>> known;
      const auto off = [&](const NeuronSet& set) {
        for (const auto& [other, result] : known) {
          if (!same_units(*other, set)) continue;
          bar.advance(size());
          return result;
        }
        const double result = perplexity(set_variant(decoder_, set, condition.mode, ""), bar);
        known.emplace_back(&set, result);
        return result;
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

DeactivatedTask ablate_task(const Options& options, const LoadedModel& model,
                            const ExampleEncoder& encoder, const std::string& folder,
                            const std::vector<Condition>& conditions) {
  const Task task = load_task(folder);
  const TaskEvaluation evaluation(task, options.data.split,
                                  load_split(task, options.data.split, options.data.limit), encoder,
                                  {});
  note_truncated(task.name, evaluation.truncated(), evaluation.examples());
  const std::int64_t runs = deactivation_runs(conditions, task.name, options.others());
  Progress bar(fmt::format("ablate {}", task.name), runs * evaluation.examples());
  const BatchLimits limits =
      options.data.fit(model.checkpoint(), model.decoder(), evaluation.demand()).limits;
  return deactivate(
      model.decoder(), evaluation, task.name, conditions, options.others(), options.seed, limits,
      [&](std::int64_t examples, std::int64_t tokens) { bar.advance(examples, tokens); });
}

void run(const Options& options) {
  options.common.apply();
  for (const std::string& top : options.tops) parse_percent(top);
  for (const std::string& kind : options.random_kinds) parse_random_kind(kind);
  for (const std::string& mode : options.modes) parse_mode(mode);
  parse_scope(options.scope);
  options.result.check();
  const PromptTemplate prompt = find_template(options.data, options.model.folder);
  const LoadedModel model(options.model);
  const ExampleEncoder encoder(model.tokenizer(), prompt, model.encoder_options(options.data));
  const std::vector<std::vector<TaskSets>> doses = make_doses(options, model);
  std::optional<TextEvaluation> text;
  if (!options.text.empty()) text.emplace(options, model);
  AblateReport report;
  report.first_seed = options.seed;
  for (std::size_t i = 0; i < doses.size(); ++i) {
    for (const std::string& mode : options.modes) {
      report.conditions.push_back({options.tops[i], mode, parse_mode(mode), &doses[i]});
    }
  }
  blame_weights(model.checkpoint(), [&] {
    for (const std::string& folder : options.data.tasks) {
      report.tasks.push_back(ablate_task(options, model, encoder, folder, report.conditions));
    }
    if (text) text->run(report);
  });
  OutputJson json = model.named();
  json.update({{"model_hash", model.checkpoint().hash()},
               {"top", fmt::format("{}", fmt::join(options.tops, ", "))},
               {"scope", options.scope},
               {"mode", fmt::format("{}", fmt::join(options.modes, ", "))},
               {"random_kind", fmt::format("{}", fmt::join(options.random_kinds, ", "))},
               {"template", prompt.name()},
               {"deltas", deltas_json(options.model.deltas)}});
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
  command->add_option("--scope", options->scope, "global: of all units; layer: of each layer's")
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
  command->add_option("--random-seeds", options->random_seeds, "How many random sets of each kind")
      ->check(at_least(1))
      ->capture_default_str();
  command
      ->add_option("--random-kind", options->random_kinds,
                   "matched: as many per layer as the task's set; uniform: anywhere; or both")
      ->capture_default_str();
  command
      ->add_option("--seed", options->seed,
                   "Seed of the first random set, of the bootstrap and of the permutations")
      ->capture_default_str();
  command->add_flag("--own-only", options->own_only,
                    "Leave out what each task loses with other tasks' units off");
  command->add_option("--text", options->text,
                      "Text file that has nothing to do with the tasks: the side effect is its "
                      "perplexity under the same sets");
  command->add_option("--text-tokens", options->text_tokens, "Of the text, so many; 0: all")
      ->check(at_least(0))
      ->capture_default_str();
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

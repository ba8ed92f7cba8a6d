#include "taskneuron/analysis/fidelity.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "cli/command.h"
#include "cli/provenance.h"
#include "taskneuron/base/error.h"

namespace taskneuron::cli {

namespace {

struct Options {
  CommonOptions common;
  ResultOptions result;
  ModelOptions model;
  DataOptions data;
  std::vector<std::string> sites = {"act"};
  std::string aggregate = "example";
  std::string top = "10%";
  std::string scope = "global";
  std::int64_t units = 200;
  std::int64_t audit_examples = 64;
  std::int64_t points = 20;
  std::int64_t orders = 10;
  double stable = 0.95;
  std::uint64_t seed = 0;
};

FidelityOptions fidelity_options(const Options& options) {
  FidelityOptions result;
  const std::vector<Site> sites = parse_sites(options.sites);
  result.scoring.sites = {sites.begin(), sites.end()};
  result.scoring.aggregate = parse_aggregate(options.aggregate);
  result.percent = parse_percent(options.top);
  result.scope = parse_scope(options.scope);
  result.units = options.units;
  result.examples = options.audit_examples;
  result.shards = options.points;
  result.orders = options.orders;
  result.stable = options.stable;
  result.seed = options.seed;
  return result;
}

struct TaskFidelity {
  std::string task;
  LossAudit loss;
  Stability stability;
};

std::string suggestion(const Stability& stability, const Options& options) {
  if (stability.stable_from) {
    return fmt::format("the top {} set is stable to {} from {} examples on", options.top,
                       options.stable, *stability.stable_from);
  }
  return fmt::format(
      "the top {} set is not stable to {} by half of these {} examples: take more, or a larger set",
      options.top, options.stable, stability.examples);
}

void print_task(const TaskFidelity& found, const Options& options) {
  const LossAudit& loss = found.loss;
  fmt::print("{}: relevance against the true loss change, {} units on {} examples\n", found.task,
             loss.units.size(), loss.examples);
  Table correlations({"", "pearson", "spearman"});
  correlations.add({fmt::format("R ({}) and the change's size", options.aggregate),
                    fmt::format("{:.4f}", loss.pearson), fmt::format("{:.4f}", loss.spearman)});
  correlations.add({"signed prediction and change", fmt::format("{:.4f}", loss.signed_pearson),
                    fmt::format("{:.4f}", loss.signed_spearman)});
  correlations.print();
  fmt::print("of the sample's top tenth by R, {:.0f}% are in the top tenth by true change\n\n",
             100 * loss.top_agreement);
  Table sets({"set off", "units", "change predicted", "true change of loss"});
  for (const SetAudit& set : loss.sets) {
    sets.add({fmt::format("top {}%", set.percent), std::to_string(set.units),
              fmt::format("{:+.4f}", set.predicted), fmt::format("{:+.4f}", set.change)});
  }
  sets.print();
  const Stability& stability = found.stability;
  fmt::print("\n{}: would other examples choose the same top {}?\n", found.task, options.top);
  Table curve({"examples", "jaccard with the set of all", "with as many others"});
  for (const StabilityPoint& point : stability.curve) {
    curve.add({std::to_string(point.examples), fmt::format("{:.4f}", point.with_all),
               point.disjoint ? fmt::format("{:.4f}", *point.disjoint) : ""});
  }
  curve.print();
  fmt::print("two halves of {} examples: jaccard {:.4f} (by chance {:.4f}), spearman {:.4f}\n",
             stability.examples, stability.half_jaccard, stability.chance_jaccard,
             stability.half_spearman);
  if (stability.quarters) {
    fmt::print(
        "two quarters, {} examples each: jaccard {:.4f} ± {:.4f} (standard deviation between pairs "
        "that share no example)\n",
        stability.quarters->examples, stability.quarters->jaccard, stability.quarters->deviation);
  }
  fmt::print("{}\n", suggestion(stability, options));
}

OutputJson audit_json(const LossAudit& audit) {
  OutputJson units = OutputJson::array(), sets = OutputJson::array();
  for (const UnitAudit& unit : audit.units) {
    units.push_back({{"site", site_name(unit.unit.site)},
                     {"layer", unit.unit.layer},
                     {"unit", unit.unit.unit},
                     {"relevance", unit.relevance},
                     {"change", unit.change},
                     {"predicted", unit.predicted},
                     {"signed_change", unit.signed_change}});
  }
  for (const SetAudit& set : audit.sets) {
    sets.push_back({{"top", fmt::format("{}%", set.percent)},
                    {"units", set.units},
                    {"predicted", set.predicted},
                    {"change", set.change}});
  }
  return {{"examples", audit.examples},
          {"loss", audit.loss},
          {"pearson", audit.pearson},
          {"spearman", audit.spearman},
          {"signed_pearson", audit.signed_pearson},
          {"signed_spearman", audit.signed_spearman},
          {"top_agreement", audit.top_agreement},
          {"sets", sets},
          {"units", units}};
}

OutputJson stability_json(const Stability& stability, const Options& options) {
  OutputJson curve = OutputJson::array();
  for (const StabilityPoint& point : stability.curve) {
    OutputJson entry = {{"examples", point.examples}, {"with_all", point.with_all}};
    if (point.disjoint) entry["disjoint"] = *point.disjoint;
    curve.push_back(entry);
  }
  OutputJson json = {{"examples", stability.examples},
                     {"half_jaccard", stability.half_jaccard},
                     {"half_spearman", stability.half_spearman},
                     {"chance_jaccard", stability.chance_jaccard},
                     {"threshold", options.stable},
                     {"curve", curve},
                     {"suggestion", suggestion(stability, options)}};
  json["quarters"] = nullptr;
  if (stability.quarters) {
    json["quarters"] = {{"examples", stability.quarters->examples},
                        {"jaccard", stability.quarters->jaccard},
                        {"sd", stability.quarters->deviation}};
  }
  json["stable_from"] = nullptr;
  if (stability.stable_from) json["stable_from"] = *stability.stable_from;
  return json;
}

std::int64_t count_tokens(const std::vector<AnswerExample>& examples) {
  std::int64_t tokens = 0;
  for (const AnswerExample& example : examples) {
    tokens += static_cast<std::int64_t>(example.ids.size());
  }
  return tokens;
}

// Positions of the longest example; its last token is not fed.
std::int64_t longest(const std::vector<AnswerExample>& examples) {
  std::size_t tokens = 1;
  for (const AnswerExample& example : examples) tokens = std::max(tokens, example.ids.size());
  return static_cast<std::int64_t>(tokens) - 1;
}

// What is about to be done, and after the first part how long the second will take about.
class Forecast {
 public:
  Forecast(const EncodedTask& task, const FidelityOptions& fidelity)
      : task_(task), units_(fidelity.units) {
    const auto all = static_cast<std::int64_t>(task.examples.size());
    examples_ = std::min(fidelity.examples, all);
    const bool by_position = fidelity.scoring.aggregate == Aggregate::kToken;
    if (by_position) passes_per_unit_ += longest(task.examples);
    note(fmt::format(
        "{}: first the stability of the set, from {} examples ({} tokens); then the true loss "
        "change of {} units, one by one on {} examples{}",
        task.task.name, all, count_tokens(task.examples), units_, examples_,
        by_position
            ? fmt::format(", and of each at each of up to {} positions", passes_per_unit_ - 1)
            : ""));
  }
  void stability_done() const {
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start_;
    // A unit costs on average half a forward pass, which is a third of forward and backward.
    const double passes = static_cast<double>(units_ * passes_per_unit_) / 6 + 1;
    const double share =
        static_cast<double>(examples_) / static_cast<double>(task_.examples.size());
    const double seconds = elapsed.count() * share * passes;
    if (seconds < 5) return;
    note(fmt::format("{}: the stability took {}, the single units will take about {}",
                     task_.task.name, clock_time(elapsed.count()), clock_time(seconds)));
  }

 private:
  const EncodedTask& task_;
  std::int64_t units_;
  std::int64_t passes_per_unit_ = 1;
  std::int64_t examples_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

TaskFidelity audit_task(const Options& options, FidelityOptions fidelity, const LoadedModel& model,
                        const ExampleEncoder& encoder, const std::string& folder) {
  const EncodedTask task = encode_task(folder, options.data, encoder);
  const BatchMemory plan = options.data.fit(model.checkpoint(), model.decoder(),
                                            score_demand(task.examples, fidelity.scoring));
  fidelity.scoring.limits = plan.limits;
  fidelity.scoring.recompute = plan.recompute;
  if (task.examples.size() < 2) throw Error("stability needs at least two examples");
  const Forecast forecast(task, fidelity);
  TaskFidelity found;
  found.task = task.task.name;
  {
    Progress bar(fmt::format("stability {}", found.task));
    found.stability = audit_stability(
        model.checkpoint(), model.decoder(), task.examples, fidelity,
        [&](double share, std::int64_t tokens) { bar.advance_share(share, tokens); });
  }
  forecast.stability_done();
  Progress bar(fmt::format("fidelity {}", found.task));
  found.loss =
      audit_loss(model.checkpoint(), model.decoder(), task.examples, fidelity,
                 [&](double share, std::int64_t tokens) { bar.advance_share(share, tokens); });
  return found;
}

void run(const Options& options) {
  options.common.apply();
  const FidelityOptions fidelity = fidelity_options(options);
  options.result.check();
  const PromptTemplate prompt = find_template(options.data, options.model.folder);
  const LoadedModel model(options.model);
  for (const Site site : fidelity.scoring.sites) site_shape(model.checkpoint().config(), site);
  const ExampleEncoder encoder(model.tokenizer(), prompt, model.encoder_options(options.data));
  OutputJson results = OutputJson::array();
  for (std::size_t i = 0; i < options.data.tasks.size(); ++i) {
    const TaskFidelity found = audit_task(options, fidelity, model, encoder, options.data.tasks[i]);
    if (!options.common.json) {
      if (i > 0) fmt::print("\n");
      print_task(found, options);
      std::fflush(stdout);  // a signal that ends the next task's audit takes nothing of this one
    }
    results.push_back({{"task", found.task},
                       {"split", options.data.split},
                       {"aggregate", options.aggregate},
                       {"top", options.top},
                       {"loss_change", audit_json(found.loss)},
                       {"stability", stability_json(found.stability, options)}});
  }
  OutputJson json = model.named();
  json.update({{"model_hash", model.checkpoint().hash()},
               {"deltas", deltas_json(delta_inputs(options.model.deltas))},
               {"results", results}});
  options.result.write(json);
  if (options.common.json) print_json(json);
}

}  // namespace

void add_fidelity(CLI::App& app) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand(
      "fidelity", "Does relevance say what a unit is worth, and would other examples agree?");
  options->model.dtype = "float32";  // in bfloat16 most single units' changes are rounding
  options->model.add_to(*command);
  options->data.add_to(*command, "train");
  command->add_option("--site", options->sites, kSitesHelp)->capture_default_str();
  command
      ->add_option("--aggregate", options->aggregate,
                   "example, token or dataset. token: every unit is switched off at every position "
                   "by itself, which takes many times as long; lower --units or --audit-examples")
      ->capture_default_str();
  command->add_option("--top", options->top, "Set whose stability is asked for")
      ->capture_default_str();
  command->add_option("--scope", options->scope, "global: of all units; layer: of each layer's")
      ->capture_default_str();
  command
      ->add_option("--units", options->units,
                   "Units that are switched off one by one, evenly from tenths of the ranking")
      ->check(CLI::Range(3, 1000000))
      ->capture_default_str();
  command
      ->add_option("--audit-examples", options->audit_examples,
                   "Examples that these units are audited on")
      ->check(at_least(1))
      ->capture_default_str();
  command->add_option("--points", options->points, "Points of the curve over examples")
      ->check(CLI::Range(2, 1000))
      ->capture_default_str();
  command->add_option("--orders", options->orders, "Random orders that the curve is the mean of")
      ->check(at_least(1))
      ->capture_default_str();
  command->add_option("--stable", options->stable, "Jaccard at which a set counts as stable")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  command->add_option("--seed", options->seed, "Seed of all samples")->capture_default_str();
  options->result.add_to(*command);
  options->common.add_to(*command);
  command->footer(
      std::string(
          "Example:\n  taskneuron fidelity examples/models/mini --task examples/tasks/scitail") +
      kTermsFooter);
  command->callback([options] { run(*options); });
}

}  // namespace taskneuron::cli

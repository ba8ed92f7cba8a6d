#include "taskneuron/recipe/audit.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "recipe/help.h"
#include "taskneuron/base/error.h"
#include "taskneuron/base/progress.h"

namespace taskneuron {

ModelOptions AuditOptions::model_defaults() {
  ModelOptions options;
  options.dtype = "float32";
  return options;
}

void AuditOptions::declare(OptionList& list) {
  data.declare(list);
  list.add("site", &sites, Effect::kResult, kSitesHelp);
  list.add("aggregate", &aggregate, Effect::kResult,
           "example, token or dataset. token: every unit is switched off at every position by "
           "itself, which takes many times as long; lower `units` or `audit_examples`");
  list.add("top", &top, Effect::kResult, "Set whose stability is asked for");
  list.add("scope", &scope, Effect::kResult, kScopeHelp);
  list.add("units", &units, Effect::kResult,
           "Units that are switched off one by one, evenly from tenths of the ranking")
      .between(3, 1000000);
  list.add("audit_examples", &audit_examples, Effect::kResult,
           "Examples that these units are audited on")
      .at_least(1);
  list.add("points", &points, Effect::kResult, "Points of the curve over examples")
      .between(2, 1000);
  list.add("orders", &orders, Effect::kResult, "Random orders that the curve is the mean of")
      .at_least(1);
  list.add("stable", &stable, Effect::kResult, "Jaccard at which a set counts as stable")
      .between(0, 1);
  list.add("seed", &seed, Effect::kResult, "Seed of all samples");
}

namespace {

FidelityOptions fidelity_options(const AuditOptions& options) {
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

AuditedTask audit_task(const TaskReader& reader, FidelityOptions fidelity,
                       const std::string& folder) {
  const Session& session = reader.session();
  const EncodedTask task = reader.encode(folder);
  if (task.examples.size() < 2) throw Error("stability needs at least two examples");
  const BatchMemory plan = reader.fit(score_demand(task.examples, fidelity.scoring));
  fidelity.scoring.limits = plan.limits;
  fidelity.scoring.recompute = plan.recompute;
  const Forecast forecast(task, fidelity);
  AuditedTask found;
  found.task = task.task.name;
  {
    Progress bar(fmt::format("stability {}", found.task));
    found.stability = audit_stability(
        session.checkpoint(), session.decoder(), task.examples, fidelity,
        [&](double share, std::int64_t tokens) { bar.advance_share(share, tokens); });
  }
  forecast.stability_done();
  Progress bar(fmt::format("fidelity {}", found.task));
  found.loss =
      audit_loss(session.checkpoint(), session.decoder(), task.examples, fidelity,
                 [&](double share, std::int64_t tokens) { bar.advance_share(share, tokens); });
  return found;
}

}  // namespace

void AuditOptions::check() const {
  check_declared(*this);
  data.check();
  fidelity_options(*this);
}

std::vector<AuditedTask> audit(const Session& session, const AuditOptions& options) {
  options.check();
  const FidelityOptions fidelity = fidelity_options(options);
  const TaskReader reader(session, options.data);
  for (const Site site : fidelity.scoring.sites) site_shape(session.checkpoint().config(), site);
  std::vector<AuditedTask> found;
  for (const std::string& folder : options.data.tasks) {
    found.push_back(audit_task(reader, fidelity, folder));
  }
  return found;
}

}  // namespace taskneuron

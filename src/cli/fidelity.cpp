#include <fmt/format.h>

#include <cmath>

#include "cli/command.h"
#include "cli/provenance.h"
#include "taskneuron/recipe/audit.h"

namespace taskneuron::cli {

namespace {

struct Options {
  CommonOptions common;
  ResultOptions result;
  ModelOptions model = AuditOptions::model_defaults();
  AuditOptions audit;
};

std::string suggestion(const Stability& stability, const AuditOptions& options) {
  if (stability.stable_from) {
    return fmt::format("the top {} set is stable to {} from {} examples on", options.top,
                       options.stable, *stability.stable_from);
  }
  return fmt::format(
      "the top {} set is not stable to {} by half of these {} examples: take more, or a larger set",
      options.top, options.stable, stability.examples);
}

// Of changes that are all alike there is no correlation.
std::string correlation_text(double value) {
  return std::isfinite(value) ? fmt::format("{:.4f}", value) : "–";
}

void print_task(const AuditedTask& found, const AuditOptions& options) {
  const LossAudit& loss = found.loss;
  fmt::print("{}: relevance against the true loss change, {} units on {} examples\n", found.task,
             loss.units.size(), loss.examples);
  Table correlations({"", "pearson", "spearman"});
  correlations.add({fmt::format("R ({}) and the change's size", options.aggregate),
                    correlation_text(loss.pearson), correlation_text(loss.spearman)});
  correlations.add({"signed prediction and change", correlation_text(loss.signed_pearson),
                    correlation_text(loss.signed_spearman)});
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

OutputJson stability_json(const Stability& stability, const AuditOptions& options) {
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

void run(const Options& options) {
  options.common.apply();
  options.result.check();
  options.audit.check();
  const Session session(options.model);
  const std::vector<AuditedTask> audited = audit(session, options.audit);
  OutputJson results = OutputJson::array();
  for (const AuditedTask& found : audited) {
    results.push_back({{"task", found.task},
                       {"split", options.audit.data.split},
                       {"aggregate", options.audit.aggregate},
                       {"top", options.audit.top},
                       {"loss_change", audit_json(found.loss)},
                       {"stability", stability_json(found.stability, options.audit)}});
  }
  OutputJson json = model_json(session);
  json.update({{"model_hash", session.checkpoint().hash()},
               {"deltas", deltas_json(session.deltas())},
               {"results", results}});
  options.result.write(json);
  if (options.common.json) return print_json(json);
  for (const AuditedTask& found : audited) {
    if (&found != &audited.front()) fmt::print("\n");
    print_task(found, options.audit);
  }
}

}  // namespace

void add_fidelity(CLI::App& app) {
  auto options = std::make_shared<Options>();
  CLI::App* command = add_command(
      app, "fidelity", "Does relevance say what a unit is worth, and would other examples agree?");
  add_options(*command, options->model, options->audit);
  options->result.add_to(*command);
  options->common.add_to(*command);
  set_shared_run(
      *command,
      std::string(
          "Example:\n  taskneuron fidelity examples/models/mini --task examples/tasks/scitail") +
          kTermsFooter,
      {&options->result.output.out}, [options] { run(*options); });
}

}  // namespace taskneuron::cli

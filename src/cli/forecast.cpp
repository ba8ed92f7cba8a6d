#include "taskneuron/recipe/forecast.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cli/command.h"
#include "cli/inference_json.h"
#include "cli/provenance.h"

namespace taskneuron::cli {

namespace {

struct Options {
  CommonOptions common;
  ForecastOptions forecast;
  ResultOptions result;
};

OutputJson table_json(const TaskTable& table) {
  OutputJson json = OutputJson::array();
  for (const auto& row : table) {
    OutputJson& values = json.emplace_back(OutputJson::array());
    for (const std::optional<double>& value : row) values.push_back(or_null(value));
  }
  return json;
}

OutputJson score_json(const ForecastScore& score) {
  OutputJson json = {{"name", score.name},
                     {"kind", score.kind},
                     {"entries", score.entries},
                     {"value", or_null(score.value)}};
  if (!score.value) json["reason"] = score.no_value;
  add_interval(json, score.interval, score.no_interval);
  json["pooled"] = or_null(score.pooled);
  if (!score.foreseen.empty()) json["foreseen"] = table_json(score.foreseen);
  if (!score.permutation) return json;
  json["p"] = or_null(score.permutation->p);
  json["smallest_p"] = score.permutation->smallest_p;
  json["orders"] = score.permutation->orders;
  json["exact"] = score.permutation->exact;
  return json;
}

OutputJson result_json(const Forecast& found, const ForecastOptions& options) {
  OutputJson json = {{"affinity", options.affinity},
                     {"measured", options.measured},
                     {"lower_is_better", options.lower_is_better},
                     {"tasks", found.tasks},
                     {"constant_targets", found.constant_targets},
                     {"scores", OutputJson::array()},
                     {"comparisons", OutputJson::array()},
                     {"ridge_weights", OutputJson::object()}};
  for (const ForecastScore& score : found.scores) json["scores"].push_back(score_json(score));
  for (const auto& [name, weight] : found.ridge_weights) json["ridge_weights"][name] = weight;
  for (const ForecastComparison& one : found.comparisons) {
    OutputJson entry = {
        {"name", one.name}, {"against", one.against}, {"difference", one.difference}};
    add_interval(entry, one.interval, one.no_interval);
    json["comparisons"].push_back(entry);
  }
  return json;
}

void print(const Forecast& found) {
  Table table(
      {"forecast by", "kind", "entries", "rank correlation", "95%", "p", "smallest", "pooled", ""});
  for (const ForecastScore& score : found.scores) {
    table.add({score.name, score.kind, std::to_string(score.entries), number_text(score.value),
               interval_text(score.interval),
               score.permutation ? p_text(score.permutation->p) : "–",
               score.permutation ? p_text(score.permutation->smallest_p) : "–",
               number_text(score.pooled), score.value ? "" : score.no_value});
  }
  table.print();
  Table comparisons({"forecast by", "minus", "difference", "95%"});
  for (const ForecastComparison& one : found.comparisons) {
    comparisons.add(
        {one.name, one.against, number_text(one.difference), interval_text(one.interval)});
  }
  if (!found.comparisons.empty()) fmt::print("\n");
  if (!found.comparisons.empty()) comparisons.print();
  if (!found.constant_targets.empty()) {
    fmt::print("left out, for no training changed them differently: {}\n",
               fmt::join(found.constant_targets, ", "));
  }
}

void run(const Options& options) {
  options.common.apply();
  options.result.check();
  const Forecast found = forecast_from_files(options.forecast);
  const OutputJson json = result_json(found, options.forecast);
  options.result.write(json);
  if (options.common.json) return print_json(json);
  print(found);
}

}  // namespace

void add_forecast(CLI::App& app) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      add_command(app, "forecast",
                  "How well affinity, or tables of one's own, foresee which tasks help or "
                  "hurt each other");
  add_options(*command, options->forecast);
  options->result.add_to(*command);
  options->common.add_to(*command);
  set_run(
      *command,
      std::string(
          "Rank correlation with the measured changes, both standardised within each target; its\n"
          "interval leaves out a task at a time, its p relabels the tasks. average needs no "
          "measured\n"
          "entry; ridge foresees an entry from those of all other tasks. pooled: of the values as\n"
          "they are, where differences between targets count too.\n\n"
          "Examples:\n"
          "  taskneuron forecast affinity.json matrix.json\n"
          "  taskneuron forecast similarities.json matrix.json\n"
          "  taskneuron forecast affinity.json losses.json --lower-is-better --json") +
          kTermsFooter,
      [options] { run(*options); });
}

}  // namespace taskneuron::cli

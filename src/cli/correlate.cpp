#include "taskneuron/recipe/correlate.h"

#include <fmt/format.h>

#include "cli/command.h"
#include "cli/inference_json.h"
#include "cli/provenance.h"

namespace taskneuron::cli {

namespace {

struct Options {
  CommonOptions common;
  CorrelateOptions correlate;
  ResultOptions result;
};

OutputJson difference_json(const CorrelationDifference& found) {
  OutputJson json = {{"value", or_null(found.value)}, {"points", found.points}};
  if (!found.value) json["reason"] = found.no_value;
  add_interval(json, found.interval, found.no_interval);
  return json;
}

OutputJson group_json(const GroupCorrelations& group) {
  OutputJson json = {{"group", group.group}, {"columns", OutputJson::array()}};
  for (const ColumnCorrelation& column : group.columns) {
    json["columns"].push_back({{"column", column.column},
                               {"left_out", column.left_out},
                               {"x_mean", or_null(column.x_mean)},
                               {"y_mean", or_null(column.y_mean)},
                               {"pearson", correlation_json(column.pearson)},
                               {"spearman", correlation_json(column.spearman)}});
  }
  if (group.late_minus_early) {
    json["late_minus_early"] = {{"pearson", difference_json(group.late_minus_early->pearson)},
                                {"spearman", difference_json(group.late_minus_early->spearman)}};
  }
  return json;
}

OutputJson result_json(const CorrelateResult& found, const CorrelateOptions& options) {
  OutputJson json = {{"table", options.table}, {"y", options.y}, {"rows", found.rows}};
  json["by"] = options.by.empty() ? OutputJson(nullptr) : OutputJson(options.by);
  json["groups"] = OutputJson::array();
  for (const GroupCorrelations& group : found.table.groups) {
    json["groups"].push_back(group_json(group));
  }
  json["over_groups"] = OutputJson::array();
  for (const OverGroups& one : found.table.over_groups) {
    OutputJson entry = {{"column", one.column},
                        {"kind", correlation_name(one.kind)},
                        {"groups", one.groups},
                        {"mean", or_null(one.mean)}};
    add_interval(entry, one.interval, one.no_interval);
    json["over_groups"].push_back(entry);
  }
  return json;
}

void add_rows(Table& table, const GroupCorrelations& group) {
  for (const ColumnCorrelation& column : group.columns) {
    for (const Correlation* one : {&column.pearson, &column.spearman}) {
      table.add({group.group, column.column, correlation_name(one->kind),
                 std::to_string(one->points), number_text(one->value), interval_text(one->interval),
                 p_text(one->p()), one->permutation ? p_text(one->permutation->smallest_p) : "–",
                 p_text(one->p_adjusted), one->no_value});
    }
  }
  if (!group.late_minus_early) return;
  for (const auto* one : {&group.late_minus_early->pearson, &group.late_minus_early->spearman}) {
    table.add({group.group, "late - early", correlation_name(one->kind),
               std::to_string(one->points), number_text(one->value), interval_text(one->interval),
               "", "", "", one->no_value});
  }
}

void print(const CorrelateResult& found, const CorrelateOptions& options) {
  Table table({options.by.empty() ? "rows" : options.by, "with " + options.y, "kind", "points", "r",
               "95%", "p", "smallest", "p (BH)", ""});
  for (const GroupCorrelations& group : found.table.groups) add_rows(table, group);
  if (found.table.groups.size() > 1) {
    for (const OverGroups& one : found.table.over_groups) {
      table.add({fmt::format("mean of {}", one.groups), one.column, correlation_name(one.kind), "",
                 number_text(one.mean), interval_text(one.interval), "", "", "", one.no_interval});
    }
  }
  table.print();
}

void run(const Options& options) {
  options.common.apply();
  options.correlate.check();
  options.result.check();
  const CorrelateResult found = correlate_table(options.correlate);
  const OutputJson json = result_json(found, options.correlate);
  options.result.write(json);
  if (options.common.json) return print_json(json);
  print(found, options.correlate);
}

}  // namespace

void add_correlate(CLI::App& app) {
  auto options = std::make_shared<Options>();
  CLI::App* command = add_command(
      app, "correlate", "Whether similarity or overlap goes with performance, from a table");
  add_options(*command, options->correlate);
  options->result.add_to(*command);
  options->common.add_to(*command);
  set_run(*command,
          std::string(
              "Pearson and Spearman with intervals and permutation p values, corrected over the "
              "groups.\n"
              "With --bands, late - early is how much more the last band goes with it than the "
              "first.\n\n"
              "Examples:\n"
              "  taskneuron correlate models.csv --x similarity overlap --y accuracy --by task\n"
              "  taskneuron correlate models.jsonl --y accuracy --by task --bands 0-3 4-7 \\\n"
              "    --where trained=classification") +
              kTermsFooter,
          [options] { run(*options); });
}

}  // namespace taskneuron::cli

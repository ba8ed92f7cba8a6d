#include "taskneuron/recipe/continual.h"

#include <fmt/format.h>

#include "base/file.h"
#include "cli/command.h"
#include "taskneuron/base/memory.h"
#include "taskneuron/base/statistics.h"
#include "taskneuron/continual/method.h"

namespace taskneuron::cli {

namespace {

struct Options {
  CommonOptions common;
  ModelOptions model;
  ContinualOptions continual;
};

OutputJson list_json(const std::vector<std::optional<double>>& values) {
  OutputJson json = OutputJson::array();
  for (const auto& value : values) json.push_back(or_null(value));
  return json;
}

OutputJson cost_json(const StageCost& cost) {
  return {{"task", cost.task},
          {"folder", cost.folder},
          {"detection_seconds", cost.detection_seconds},
          {"training_seconds", cost.training_seconds},
          {"memory_seconds", cost.memory_seconds},
          {"steps", cost.steps},
          {"tokens", cost.tokens},
          {"trained_values", cost.trained_values},
          {"stored_bytes", cost.stored_bytes},
          {"peak_memory_bytes", cost.peak_memory_bytes},
          {"units", cost.units},
          {"claimed_units", cost.claimed_units}};
}

OutputJson run_json(const StreamRun& run) {
  OutputJson json = {{"method", run.method},
                     {"order", run.order},
                     {"seed", run.seed},
                     {"tasks", run.results.tasks},
                     {"matrix", OutputJson::array()},
                     {"zero_shot", list_json(run.results.zero_shot)},
                     {"single", list_json(run.results.single)},
                     {"cl", or_null(run.metrics.cl)},
                     {"fg", list_json(run.metrics.fg)},
                     {"fg_diagonal", list_json(run.metrics.fg_diagonal)},
                     {"bwt", or_null(run.metrics.bwt)},
                     {"fwt", or_null(run.metrics.fwt)},
                     {"forgetting", or_null(run.metrics.forgetting)},
                     {"stages", OutputJson::array()}};
  for (const auto& row : run.results.matrix) json["matrix"].push_back(list_json(row));
  for (const StageCost& cost : run.stages) json["stages"].push_back(cost_json(cost));
  if (!run.diverged.empty()) json["diverged"] = run.diverged;
  return json;
}

OutputJson formulas_json() {
  OutputJson json;
  for (const StreamFormula& formula : stream_formulas()) json[formula.key] = formula.formula;
  return json;
}

std::string shown(const std::optional<double>& value) {
  return value ? fmt::format("{:.4f}", *value) : "-";
}

// "0.7123 ± 0.0120": mean and standard deviation over streams that know the metric.
std::string over_streams(const std::vector<double>& values) {
  if (values.empty()) return "-";
  if (values.size() == 1) return fmt::format("{:.4f}", values.front());
  return fmt::format("{:.4f} ± {:.4f}", mean(values), standard_deviation(values));
}

void print_matrix(const StreamRun& run) {
  fmt::print("{}, {}, seed {}: the metric of each task after each stage\n", run.method, run.order,
             run.seed);
  std::vector<std::string> header = {"task", "before"};
  for (const std::string& task : run.results.tasks) header.push_back("after " + task);
  header.push_back("alone");
  Table table(header);
  for (std::size_t i = 0; i < run.results.tasks.size(); ++i) {
    std::vector<std::string> row = {run.results.tasks[i], shown(run.results.zero_shot[i])};
    for (const auto& value : run.results.matrix[i]) row.push_back(shown(value));
    row.push_back(shown(run.results.single[i]));
    table.add(row);
  }
  table.print();
  fmt::print("\n");
}

// A row per method, over its streams.
void print_summary(const ContinualResult& found) {
  Table table({"method", "CL", "BWT", "FWT", "forgetting", "FG", "trained values", "stored/task",
               "training/task", "detection/task", "memory", "streams"});
  for (const std::string& method : found.methods) {
    std::vector<double> cl, bwt, fwt, forgetting, fg, values, stored, training, detection, peak;
    std::size_t streams = 0;
    const auto add = [](std::vector<double>& list, const std::optional<double>& value) {
      if (value) list.push_back(*value);
    };
    for (const StreamRun& run : found.runs) {
      if (run.method != method) continue;
      ++streams;
      add(cl, run.metrics.cl);
      add(bwt, run.metrics.bwt);
      add(fwt, run.metrics.fwt);
      add(forgetting, run.metrics.forgetting);
      if (!run.metrics.fg.empty()) add(fg, run.metrics.fg.back());
      for (const StageCost& cost : run.stages) {
        values.push_back(static_cast<double>(cost.trained_values));
        stored.push_back(static_cast<double>(cost.stored_bytes));
        training.push_back(cost.training_seconds);
        detection.push_back(cost.detection_seconds + cost.memory_seconds);
        peak.push_back(static_cast<double>(cost.peak_memory_bytes));
      }
    }
    const auto bytes = [](const std::vector<double>& list) {
      return list.empty() ? "-" : format_bytes(static_cast<std::int64_t>(mean(list)));
    };
    const auto seconds = [](const std::vector<double>& list) {
      return list.empty() ? "-" : fmt::format("{:.1f} s", mean(list));
    };
    table.add({method, over_streams(cl), over_streams(bwt), over_streams(fwt),
               over_streams(forgetting), over_streams(fg),
               values.empty() ? "-" : fmt::format("{:.0f}", mean(values)), bytes(stored),
               seconds(training), seconds(detection), bytes(peak), std::to_string(streams)});
  }
  table.print();
  fmt::print("\n");
  for (const StreamFormula& formula : stream_formulas()) {
    fmt::print("{} = {}\n", formula.name, formula.formula);
  }
}

void run(const Options& options) {
  options.common.apply();
  options.continual.check();
  const Session session(options.model);
  const ContinualResult found = continual(session, options.continual);
  OutputJson json = model_json(session);
  json["runs"] = OutputJson::array();
  for (const StreamRun& one : found.runs) json["runs"].push_back(run_json(one));
  json["formulas"] = formulas_json();
  json["trained"] = found.trained;
  write_file(std::filesystem::path(options.continual.out) / "result.json", json.dump(1) + "\n");
  if (options.common.json) return print_json(json);
  for (const StreamRun& one : found.runs) print_matrix(one);
  print_summary(found);
}

std::string footer() {
  std::string text =
      "Example: taskneuron continual MODEL --order examples/orders/mini.json --method ncft w-ncft "
      "ncft-random seqft --lr 3e-3 --out streams\n\nMethods:\n";
  for (const MethodKind& kind : method_kinds()) {
    text += fmt::format("  {:<14} {}\n", kind.name, kind.help);
    std::string keys;
    for (const std::string& key : kind.keys) keys += (keys.empty() ? "" : ", ") + key;
    if (!keys.empty()) text += fmt::format("  {:<14}   settings: {}\n", "", keys);
  }
  text += "  every method has the settings lr, epochs and batch\n\nSettings:\n";
  MethodSettings settings;
  OptionList list;
  settings.declare(list);
  for (const Option& option : list.all()) {
    text += fmt::format("  {:<14} {}\n", option.name, option.help);
  }
  return text + kTermsFooter;
}

}  // namespace

void add_continual(CLI::App& app) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand(
      "continual",
      "Train tasks one after another by methods that keep what was learnt, and measure it");
  add_options(*command, options->model, options->continual);
  options->common.add_to(*command);
  command->footer(footer());
  command->callback([options] { run(*options); });
}

}  // namespace taskneuron::cli

#include "taskneuron/recipe/test.h"

#include <fmt/format.h>

#include "cli/command.h"
#include "cli/contrast_output.h"
#include "taskneuron/base/statistics.h"

namespace taskneuron::cli {

namespace {

struct Options {
  CommonOptions common;
  TestOptions test;
  ResultOptions result;

  Expected expected() const {
    return test.expect == "higher" ? Expected::kBetter : Expected::kWorse;
  }
};

OutputJson row_json(const SetTestRow& row, Expected expected) {
  OutputJson json;
  if (!row.task.empty()) json["task"] = row.task;
  json["metric"] = row.metric.name;
  json["tasks"] = row.tasks;
  if (row.original) json["original"] = {{"value", *row.original}, {"loss", *row.original_loss}};
  json["random"] = {{"value", row.random}, {"loss", row.random_loss}};
  json["own"] = {{"value", row.own}, {"loss", row.own_loss}};
  if (row.own_minus_random) {
    json["own_minus_random"] = contrasts_json(*row.own_minus_random, row.metric, expected);
  }
  if (row.own_minus_original) {
    json["own_minus_original"] = contrasts_json(*row.own_minus_original, row.metric, expected);
  }
  return json;
}

OutputJson matrix_json(const TestResult& found) {
  return {{"tasks", found.matrix_tasks},
          {"value_change", found.matrix->value},
          {"loss_change", found.matrix->loss},
          {"value_test", test_json(found.matrix->value_test)},
          {"loss_test", test_json(found.matrix->loss_test)}};
}

void print(const TestResult& found, Expected expected) {
  Table rows({"task", "metric", "original", "random", "± over sets", "own", "loss: original",
              "random", "own"});
  ContrastTable contrasts(expected, "own is better");
  const auto number = [](const std::optional<double>& value) {
    return value ? fmt::format("{:.4f}", *value) : "–";
  };
  const auto add = [&](const SetTestRow& row) {
    const std::string name = row.task.empty() ? fmt::format("mean of {}", row.tasks) : row.task;
    const bool sets = !row.random.empty();
    rows.add({name, row.metric.name, number(row.original), sets ? number(mean(row.random)) : "–",
              sets ? number(standard_deviation(row.random)) : "–", number(row.own),
              number(row.original_loss), sets ? number(mean(row.random_loss)) : "–",
              number(row.own_loss)});
    if (row.own_minus_original) {
      contrasts.add(name, row.metric, "original", *row.own_minus_original);
    }
    if (row.own_minus_random) contrasts.add(name, row.metric, "random", *row.own_minus_random);
  };
  for (const SetTestRow& row : found.test.tasks) add(row);
  for (const SetTestRow& row : found.test.averages) add(row);
  rows.print();
  fmt::print("\n");
  contrasts.print();
  if (!found.matrix) return;
  print_matrix(found.matrix_tasks, found.matrix->value, found.matrix->value_test,
               {"trained on", "change of metric"});
  print_matrix(found.matrix_tasks, found.matrix->loss, found.matrix->loss_test,
               {"trained on", "change of loss"});
}

OutputJson result_json(const TestResult& found, const Options& options) {
  OutputJson json = {{"expect", options.test.expect},
                     {"seed", options.test.seed},
                     {"results", OutputJson::array()},
                     {"averages", OutputJson::array()}};
  for (const SetTestRow& row : found.test.tasks) {
    json["results"].push_back(row_json(row, options.expected()));
  }
  for (const SetTestRow& row : found.test.averages) {
    json["averages"].push_back(row_json(row, options.expected()));
  }
  if (found.matrix) json["cross_matrix"] = matrix_json(found);
  return json;
}

void run(const Options& options) {
  options.common.apply();
  options.test.check();
  options.result.check();
  const TestResult found = test(options.test);
  const OutputJson json = result_json(found, options);
  options.result.write(json);
  if (options.common.json) return print_json(json);
  print(found, options.expected());
}

}  // namespace

void add_test(CLI::App& app) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      add_command(app, "test", "Test own against random sets from predictions that evaluate wrote");
  add_options(*command, options->test);
  options->result.add_to(*command);
  options->common.add_to(*command);
  set_run(
      *command,
      std::string("Example:\n  taskneuron test --own own-0.jsonl,own-1.jsonl \\\n"
                  "    --random a-0.jsonl,a-1.jsonl --random b-0.jsonl,b-1.jsonl "
                  "--original zero-shot.jsonl\n\nWhat is tested and how: docs/method.md, \"Is it "
                  "more than chance?\"") +
          kTermsFooter,
      [options] { run(*options); });
}

}  // namespace taskneuron::cli

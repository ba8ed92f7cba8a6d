#include <fmt/format.h>

#include <sstream>

#include "cli/contrast_output.h"
#include "cli/prediction_files.h"
#include "taskneuron/analysis/set_test.h"
#include "taskneuron/base/error.h"
#include "taskneuron/base/statistics.h"

namespace taskneuron::cli {

namespace {

struct Options {
  CommonOptions common;
  std::string own;
  std::vector<std::string> random;
  std::string original;
  std::vector<std::string> matrix;
  std::string expect = "higher";
  std::uint64_t seed = 0;
  ResultOptions result;

  Expected expected() const { return expect == "higher" ? Expected::kBetter : Expected::kWorse; }
};

using Files = std::vector<std::vector<PredictedTask>>;

// "a,b": the files of trainings that differ by their seed alone.
Files read_seeds(const std::string& list) {
  Files files;
  std::istringstream names(list);
  for (std::string name; std::getline(names, name, ',');) files.push_back(read_predictions(name));
  if (files.empty()) throw UsageError("an empty name of a file");
  return files;
}

const PredictedTask& task_named(const std::vector<PredictedTask>& file, const std::string& task,
                                const std::string& path) {
  for (const PredictedTask& one : file) {
    if (one.task == task) return one;
  }
  throw Error(fmt::format("{}: has no rows of {}", path, task));
}

// The task of another file. Throws Error if its rows are of other examples.
const PredictedTask& require_task(const std::vector<PredictedTask>& file, const PredictedTask& like,
                                  const std::string& path) {
  const PredictedTask& found = task_named(file, like.task, path);
  const bool one_metric =
      found.metric.name == like.metric.name || !found.metric_named || !like.metric_named;
  if (found.rows == like.rows && found.ranked == like.ranked && one_metric) return found;
  throw Error(
      fmt::format("{}: rows of {} are not those of the other files; evaluate all with the "
                  "same `split`, `limit` and `scoring`",
                  path, like.task));
}

std::vector<SetTestTask> gather(const Options& options) {
  const Files own = read_seeds(options.own);
  std::vector<Files> random;
  for (const std::string& set : options.random) random.push_back(read_seeds(set));
  std::vector<PredictedTask> original;
  if (!options.original.empty()) original = read_predictions(options.original);
  std::vector<SetTestTask> tasks;
  for (const PredictedTask& first : own.front()) {
    SetTestTask& task = tasks.emplace_back();
    task.task = first.task;
    task.metric = first.metric;
    for (const auto& file : own) {
      task.own.push_back(require_task(file, first, options.own).measured);
    }
    for (std::size_t i = 0; i < random.size(); ++i) {
      std::vector<Measurement>& set = task.random.emplace_back();
      for (const auto& file : random[i]) {
        set.push_back(require_task(file, first, options.random[i]).measured);
      }
    }
    if (!original.empty()) {
      task.original = require_task(original, first, options.original).measured;
    }
  }
  return tasks;
}

// Every task's model on every task.
struct Matrix {
  std::vector<std::string> tasks;
  std::optional<CrossMatrix> found;
};

Matrix gather_matrix(const Options& options) {
  Matrix matrix;
  if (options.matrix.empty()) return matrix;
  if (options.original.empty()) throw UsageError("`matrix` needs `original`");
  const std::vector<PredictedTask> original = read_predictions(options.original);
  std::vector<std::vector<Measurement>> models;
  std::vector<MatrixTask> tasks;
  for (const std::string& named : options.matrix) {
    const std::size_t equals = named.find('=');
    if (equals == std::string::npos) {
      throw UsageError(fmt::format("`matrix` '{}' is not TASK=FILE", named));
    }
    matrix.tasks.push_back(named.substr(0, equals));
    const PredictedTask& found = task_named(original, matrix.tasks.back(), options.original);
    tasks.push_back({found.ranked ? "ranked" : "scored", found.metric, found.measured});
  }
  if (matrix.tasks.size() < 2) throw UsageError("`matrix` needs the models of two tasks or more");
  for (const std::string& named : options.matrix) {
    const std::string path = named.substr(named.find('=') + 1);
    const std::vector<PredictedTask> file = read_predictions(path);
    std::vector<Measurement>& row = models.emplace_back();
    for (const std::string& task : matrix.tasks) {
      const PredictedTask& like = task_named(original, task, options.original);
      row.push_back(require_task(file, like, path).measured);
    }
  }
  matrix.found = training_matrix(models, tasks, options.seed);
  return matrix;
}

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

OutputJson matrix_json(const Matrix& matrix) {
  return {{"tasks", matrix.tasks},
          {"value_change", matrix.found->value},
          {"loss_change", matrix.found->loss},
          {"value_test", test_json(matrix.found->value_test)},
          {"loss_test", test_json(matrix.found->loss_test)}};
}

void print(const SetTest& test, const Matrix& matrix, Expected expected) {
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
  for (const SetTestRow& row : test.tasks) add(row);
  for (const SetTestRow& row : test.averages) add(row);
  rows.print();
  fmt::print("\n");
  contrasts.print();
  if (!matrix.found) return;
  print_matrix(matrix.tasks, matrix.found->value, matrix.found->value_test,
               {"trained on", "change of metric"});
  print_matrix(matrix.tasks, matrix.found->loss, matrix.found->loss_test,
               {"trained on", "change of loss"});
}

void run(const Options& options) {
  options.common.apply();
  if (options.expect != "higher" && options.expect != "lower") {
    throw UsageError("expect", options.expect, "higher or lower");
  }
  if (options.random.empty() && options.original.empty()) {
    throw UsageError("nothing to compare with; give `random` or `original`");
  }
  options.result.check();
  const SetTest test = test_sets(gather(options), options.seed);
  const Matrix matrix = gather_matrix(options);
  OutputJson json = {{"expect", options.expect},
                     {"seed", options.seed},
                     {"results", OutputJson::array()},
                     {"averages", OutputJson::array()}};
  for (const SetTestRow& row : test.tasks) {
    json["results"].push_back(row_json(row, options.expected()));
  }
  for (const SetTestRow& row : test.averages) {
    json["averages"].push_back(row_json(row, options.expected()));
  }
  if (matrix.found) json["cross_matrix"] = matrix_json(matrix);
  options.result.write(json);
  if (!options.common.json) return print(test, matrix, options.expected());
  print_json(json);
}

}  // namespace

void add_test(CLI::App& app) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand(
      "test", "Test own against random sets from predictions that evaluate wrote");
  command
      ->add_option("--own", options->own,
                   "FILE[,FILE...] of evaluate --predictions with the tasks' own units trained; "
                   "several are trainings from several seeds")
      ->required();
  command->add_option("--random", options->random,
                      "FILE[,FILE...], once for each random set, with as many seeds");
  command->add_option("--original", options->original,
                      "FILE of the model that all were trained from");
  command->add_option("--matrix", options->matrix,
                      "TASK=FILE...: predictions on every task by the model trained on TASK; asks "
                      "whether training helps its own task most");
  command
      ->add_option(
          "--expect", options->expect,
          "higher: the claim is that own does better (a higher score, a lower loss), as after "
          "training; lower: that it does worse, as with units off")
      ->capture_default_str();
  command->add_option("--seed", options->seed, "Seed of permutations")->capture_default_str();
  options->result.add_to(*command);
  options->common.add_to(*command);
  command->footer(
      std::string("Example:\n  taskneuron test --own own-0.jsonl,own-1.jsonl \\\n"
                  "    --random a-0.jsonl,a-1.jsonl --random b-0.jsonl,b-1.jsonl "
                  "--original zero-shot.jsonl\n\nWhat is tested and how: docs/method.md, \"Is it "
                  "more than chance?\"") +
      kTermsFooter);
  command->callback([options] { run(*options); });
}

}  // namespace taskneuron::cli

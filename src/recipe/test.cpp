#include "taskneuron/recipe/test.h"

#include <fmt/format.h>

#include <sstream>

#include "recipe/prediction_files.h"
#include "taskneuron/base/error.h"

namespace taskneuron {

void TestOptions::declare(OptionList& list) {
  list.add("own", &own, Effect::kInput,
           "FILE[,FILE...] of predictions that evaluate wrote with the tasks' own units trained; "
           "several "
           "are trainings from several seeds")
      .required();
  list.add("random", &random, Effect::kInput,
           "FILE[,FILE...], once for each random set, with as many seeds");
  list.add("original", &original, Effect::kInput, "FILE of the model that all were trained from");
  list.add("matrix", &matrix, Effect::kInput,
           "TASK=FILE...: predictions on every task by the model trained on TASK; asks whether "
           "training helps its own task most");
  list.add("expect", &expect, Effect::kResult,
           "higher: the claim is that own does better (a higher score, a lower loss), as after "
           "training; lower: that it does worse, as with units off");
  list.add("seed", &seed, Effect::kResult, "Seed of permutations");
}

void TestOptions::check() const {
  check_declared(*this);
  if (expect != "higher" && expect != "lower")
    throw UsageError("expect", expect, "higher or lower");
  if (random.empty() && original.empty()) {
    throw UsageError("nothing to compare with; give `random` or `original`");
  }
  if (matrix.empty()) return;
  if (original.empty()) throw UsageError("`matrix` needs `original`");
  for (const std::string& named : matrix) {
    if (named.find('=') != std::string::npos) continue;
    throw UsageError("matrix", named, "TASK=FILE", "names no task");
  }
  if (matrix.size() < 2) throw UsageError("`matrix` needs the models of two tasks or more");
}

namespace {

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

// The task of the file at `path`. Throws Error if its rows are not the examples of `like`, which is
// of the file at `other`.
const PredictedTask& require_task(const std::vector<PredictedTask>& file, const PredictedTask& like,
                                  const std::string& path, const std::string& other) {
  const PredictedTask& found = task_named(file, like.task, path);
  const bool one_metric =
      found.metric.name == like.metric.name || !found.metric_named || !like.metric_named;
  if (found.rows == like.rows && found.ranked == like.ranked && one_metric) return found;
  throw Error(
      fmt::format("{}: rows of {} are not those of {}; evaluate all with the same `split`, `limit` "
                  "and `scoring`",
                  path, like.task, other));
}

std::vector<SetTestTask> gather(const TestOptions& options) {
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
      task.own.push_back(require_task(file, first, options.own, options.own).measured);
    }
    for (std::size_t i = 0; i < random.size(); ++i) {
      std::vector<Measurement>& set = task.random.emplace_back();
      for (const auto& file : random[i]) {
        set.push_back(require_task(file, first, options.random[i], options.own).measured);
      }
    }
    if (!original.empty()) {
      task.original = require_task(original, first, options.original, options.own).measured;
    }
  }
  return tasks;
}

void add_matrix(const TestOptions& options, TestResult& result) {
  if (options.matrix.empty()) return;
  const std::vector<PredictedTask> original = read_predictions(options.original);
  std::vector<std::vector<Measurement>> models;
  std::vector<MatrixTask> tasks;
  for (const std::string& named : options.matrix) {
    const std::size_t equals = named.find('=');
    result.matrix_tasks.push_back(named.substr(0, equals));
    const PredictedTask& found = task_named(original, result.matrix_tasks.back(), options.original);
    tasks.push_back({found.ranked ? "ranked" : "scored", found.metric, found.measured});
  }
  for (const std::string& named : options.matrix) {
    const std::string path = named.substr(named.find('=') + 1);
    const std::vector<PredictedTask> file = read_predictions(path);
    std::vector<Measurement>& row = models.emplace_back();
    for (const std::string& task : result.matrix_tasks) {
      const PredictedTask& like = task_named(original, task, options.original);
      row.push_back(require_task(file, like, path, options.original).measured);
    }
  }
  result.matrix = training_matrix(models, tasks, options.seed);
}

}  // namespace

TestResult test(const TestOptions& options) {
  options.check();
  TestResult result;
  result.test = test_sets(gather(options), options.seed);
  add_matrix(options, result);
  return result;
}

}  // namespace taskneuron

#include "recipe/prediction_files.h"

#include <fmt/format.h>

#include <map>
#include <set>

#include "base/file.h"
#include "base/json.h"
#include "evaluate/result_rows.h"
#include "taskneuron/base/error.h"
#include "taskneuron/base/statistics.h"

namespace taskneuron {

namespace {

Metric metric_in(const JsonView& row, const Prediction& prediction) {
  if (const auto named = row.find("metric")) {
    const std::string name = named->string();
    try {
      return find_metric(name);
    } catch (const Error& error) {
      row.fail(error.what());
    }
  }
  return find_metric(prediction.scores.empty() ? "score" : "accuracy");
}

void finish(TaskResult& result) {
  std::vector<double> scores, losses;
  for (const Prediction& prediction : result.predictions) {
    scores.push_back(prediction.score);
    losses.push_back(prediction.loss);
  }
  result.value = mean(scores);
  result.standard_error = standard_error(scores);
  result.loss = mean(losses);
}

}  // namespace

std::vector<PredictedTask> read_predictions(const std::string& path) {
  LineReader file(path);
  std::vector<std::string> order;
  std::map<std::string, TaskResult> results;
  std::map<std::string, std::set<std::int64_t>> seen;
  bool named = true;
  for (std::string line; file.next(line);) {
    const Json document = parse_json(line, file.where());
    const JsonView row(document, file.where());
    const std::string task = row.at("task").string();
    if (results.count(task) == 0) order.push_back(task);
    TaskResult& result = results[task];
    result.predictions.push_back(read_prediction_row(row));
    named = named && row.find("metric");
    const Metric metric = metric_in(row, result.predictions.back());
    if (result.predictions.size() == 1) result.metric = metric;
    if (metric.name != result.metric.name) {
      row.fail(
          fmt::format("{} has rows scored by {} and by {}", task, result.metric.name, metric.name));
    }
    const Prediction& last = result.predictions.back();
    if (last.scores.empty() != result.predictions.front().scores.empty()) {
      row.fail(fmt::format("{} has rows that rank labels and rows that don't", task));
    }
    if (!seen[task].insert(last.index).second) {
      row.fail(
          fmt::format("row {} of {} is there twice; a file must hold one evaluation of each "
                      "task (no `set`)",
                      last.index, task));
    }
  }
  if (order.empty()) throw Error(fmt::format("{}: holds no predictions", path));
  std::vector<PredictedTask> tasks;
  for (const std::string& name : order) {
    TaskResult& result = results.at(name);
    finish(result);
    PredictedTask& task = tasks.emplace_back();
    task.task = name;
    task.metric = result.metric;
    task.metric_named = named;
    task.ranked = !result.predictions.front().scores.empty();
    for (const Prediction& prediction : result.predictions) task.rows.push_back(prediction.index);
    task.measured = measured(result);
  }
  return tasks;
}

void require_evaluation_of(const PredictedTask& found, const Task& task, std::int64_t rows,
                           const std::string& path) {
  bool fits = found.task == task.name && found.metric.name == find_metric(task.metric).name &&
              found.ranked == (task.type == TaskType::kClassification) &&
              static_cast<std::int64_t>(found.rows.size()) == rows;
  for (std::int64_t row = 0; fits && row < rows; ++row) {
    const double score = found.measured.scores[static_cast<std::size_t>(row)];
    fits = found.rows[static_cast<std::size_t>(row)] == row && score >= 0 && score <= 1;
  }
  if (fits) return;
  throw Error(
      fmt::format("{}: is no evaluation of the {} rows of {}; remove it, and it is made again",
                  path, rows, task.name));
}

}  // namespace taskneuron

#include "evaluate/result_rows.h"

#include <fmt/format.h>

#include <cmath>

namespace taskneuron {

OutputJson result_row(const TaskResult& result) {
  return {
      {"task", result.task},   {"split", result.split},           {"metric", result.metric.name},
      {"value", result.value}, {"stderr", result.standard_error}, {"examples", result.examples},
      {"loss", result.loss}};
}

TaskResult read_result_row(const JsonView& row) {
  TaskResult result;
  result.task = row.at("task").string();
  result.split = row.at("split").string();
  result.metric = find_metric(row.at("metric").string());
  result.value = row.at("value").number();
  result.standard_error = row.at("stderr").number();
  result.examples = row.at("examples").integer();
  result.loss = row.at("loss").number();
  return result;
}

OutputJson prediction_row(const Prediction& prediction, const Metric& metric) {
  OutputJson row = {{"index", prediction.index},
                    {"prediction", prediction.prediction},
                    {"reference", prediction.reference}};
  if (prediction.scores.empty()) {
    row["score"] = prediction.score;
  } else {
    row["correct"] = prediction.score == 1;
    row["scores"] = prediction.scores;
    row["label"] = prediction.gold;
  }
  row["loss"] = prediction.loss;
  row["metric"] = metric.name;
  return row;
}

namespace {

// One that can be squared and added up.
double number_in(const JsonView& json) {
  constexpr double kLargest = 1e12;
  const double value = json.number();
  if (!(std::abs(value) <= kLargest)) json.fail(fmt::format("{} is no score or loss", value));
  return value;
}

}  // namespace

Prediction read_prediction_row(const JsonView& row) {
  Prediction prediction;
  prediction.index = row.at("index").integer();
  if (prediction.index < 0) row.at("index").fail("is below 0");
  prediction.loss = number_in(row.at("loss"));
  const auto correct = row.find("correct");
  if (!correct) {
    prediction.score = number_in(row.at("score"));
    return prediction;
  }
  prediction.score = correct->boolean() ? 1 : 0;
  for (const JsonView& score : row.at("scores").array()) {
    prediction.scores.push_back(number_in(score));
  }
  prediction.gold = row.at("label").integer();
  const auto labels = static_cast<std::int64_t>(prediction.scores.size());
  if (prediction.gold < 0 || prediction.gold >= labels) {
    row.fail(fmt::format("label {} is none of {}", prediction.gold, labels));
  }
  return prediction;
}

void write_predictions(AtomicFile& file, const OutputJson& key, const TaskResult& result) {
  for (const Prediction& prediction : result.predictions) {
    OutputJson row = key;
    row.update(prediction_row(prediction, result.metric));
    file.write(json_text(row) + "\n");
  }
}

}  // namespace taskneuron

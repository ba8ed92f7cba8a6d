#include <fmt/format.h>

#include <chrono>
#include <limits>

#include "base/elapsed.h"
#include "base/file.h"
#include "base/json.h"
#include "base/sha256.h"
#include "recipe/sweep_parts.h"
#include "taskneuron/base/compute.h"
#include "taskneuron/base/error.h"
#include "taskneuron/recipe/evaluate.h"

namespace taskneuron {

namespace fs = std::filesystem;

namespace {

constexpr const char* kCellFile = "cell.json";
constexpr const char* kBegunFile = "begun.json";  // what is being made, until it is done

// What a cell's result depends on beside what all cells share.
OutputJson identity_of(const SweepCell& cell) {
  OutputJson json = {{"tasks", cell.tasks},
                     {"rate", cell.rate},
                     {"seed", cell.seed},
                     {"evaluated", cell.evaluated}};
  json["sets"] = OutputJson::array();
  for (const std::string& path : cell.sets) json["sets"].push_back(sha256_of_file(path));
  return json;
}

// The prediction files of a cell that is done and whole; empty otherwise.
std::vector<std::string> finished_files(const fs::path& at, const OutputJson& identity,
                                        double& seconds) {
  if (!fs::exists(at / kCellFile)) return {};
  try {
    const Json document = read_json(at / kCellFile);
    const JsonView json(document, (at / kCellFile).string());
    if (json.at("cell").value() != Json(identity)) return {};
    std::vector<std::string> files;
    const JsonView hashes = json.at("files");
    for (const auto& item : hashes.object().items()) {
      const fs::path path = at / fs::path(item.key()).filename();
      const std::string hash = hashes.at(item.key()).string();
      if (!fs::exists(path) || sha256_of_file(path) != hash) return {};
      files.push_back(path.string());
    }
    seconds = json.at("seconds").number();
    return files;
  } catch (const Error&) {
    return {};  // a file that something else cut short
  }
}

// Removes what is left of a cell that was another, or that was done but is no longer whole: its
// training must neither be resumed nor stand for this one's.
void begin_cell(const fs::path& at, const OutputJson& identity) {
  const std::string begun = json_text(identity, 1) + "\n";
  const fs::path file = at / kBegunFile;
  const bool goes_on = !fs::exists(at / kCellFile) && fs::exists(file) && read_file(file) == begun;
  if (goes_on) return remove_leftovers(at);
  fs::remove_all(at);
  write_file(file, begun);
}

void finish_cell(const fs::path& at, const OutputJson& identity,
                 const std::vector<std::string>& files, double seconds) {
  OutputJson json = {{"format", "taskneuron.sweep.cell/1"}, {"cell", identity}};
  for (const std::string& file : files) {
    json["files"][fs::path(file).filename().string()] = sha256_of_file(file);
  }
  json["seconds"] = seconds;
  write_file(at / kCellFile, json_text(json, 1) + "\n");
  fs::remove(at / kBegunFile);
}

}  // namespace

SweepCells::SweepCells(const Session& session, const SweepOptions& options,
                       const std::vector<SweepTask>& tasks, fs::path folder)
    : session_(session), options_(options), tasks_(tasks), folder_(std::move(folder)) {}

const SweepTask& SweepCells::task(const std::string& name) const {
  for (const SweepTask& one : tasks_) {
    if (one.name == name) return one;
  }
  throw Error(fmt::format("{}: is no task of this sweep", name));
}

TrainOptions SweepCells::train_options(const SweepCell& cell) const {
  TrainOptions train;
  train.data = options_.data;
  train.data.tasks.clear();
  for (const std::string& name : cell.tasks) train.data.tasks.push_back(task(name).folder);
  train.sets = cell.sets;
  train.learning_rate = std::stod(cell.rate);
  train.seed = options_.seed + static_cast<std::uint64_t>(cell.seed);
  train.epochs = options_.epochs;
  train.batch = options_.batch;
  static_cast<OptimizerOptions&>(train) = options_;
  train.evaluate = "none";
  train.save = "delta";
  train.resume = true;
  return train;
}

// The delta, trained now or before the sweep was killed.
std::string SweepCells::train(const SweepCell& cell, const fs::path& at) {
  const fs::path out = at / "training";
  const fs::path delta = out / "delta.safetensors";
  if (fs::exists(delta)) return delta.string();
  TrainOptions train = train_options(cell);
  train.out = out.string();
  taskneuron::train(session_, train);
  return delta.string();
}

// Classification and generation apart, as their rows may be limited apart.
std::vector<std::string> SweepCells::evaluate_all(const Session& session,
                                                  const std::vector<std::string>& tasks,
                                                  const fs::path& at) {
  std::vector<std::string> files;
  for (const TaskType type : {TaskType::kClassification, TaskType::kGeneration}) {
    const bool generation = type == TaskType::kGeneration;
    EvaluateOptions evaluation;
    evaluation.data = options_.data;
    evaluation.data.split = "test";
    evaluation.data.limit = generation ? options_.generate_limit : options_.test_limit;
    evaluation.data.tasks.clear();
    for (const std::string& name : tasks) {
      if (task(name).type == type) evaluation.data.tasks.push_back(task(name).folder);
    }
    if (evaluation.data.tasks.empty()) continue;
    const fs::path path = at / (generation ? "generation.jsonl" : "classification.jsonl");
    evaluation.predictions = path.string();
    evaluation.force = true;
    taskneuron::evaluate(session, evaluation);
    files.push_back(path.string());
  }
  return files;
}

// As their rows follow each other in the files of evaluate_all().
std::vector<std::string> SweepCells::evaluated_tasks(const SweepCell& cell) const {
  std::vector<std::string> names;
  for (const TaskType type : {TaskType::kClassification, TaskType::kGeneration}) {
    for (const std::string& name : cell.evaluated) {
      if (task(name).type == type) names.push_back(name);
    }
  }
  return names;
}

std::int64_t SweepCells::test_rows(const SweepTask& task) {
  const auto known = test_rows_.find(task.name);
  if (known != test_rows_.end()) return known->second;
  const bool generation = task.type == TaskType::kGeneration;
  const std::int64_t limit = generation ? options_.generate_limit : options_.test_limit;
  const auto rows =
      static_cast<std::int64_t>(load_split(load_task(task.folder), "test", limit).size());
  return test_rows_.emplace(task.name, rows).first->second;
}

std::vector<SweptTask> SweepCells::read(const SweepCell& cell,
                                        const std::vector<std::string>& files) {
  const std::vector<std::string> names = evaluated_tasks(cell);
  std::vector<SweptTask> tasks;
  for (const std::string& file : files) {
    for (PredictedTask& predicted : read_predictions(file)) {
      if (tasks.size() == names.size()) break;
      const SweepTask& expected = task(names[tasks.size()]);
      require_evaluation_of(predicted, load_task(expected.folder), test_rows(expected), file);
      tasks.push_back(
          {predicted.task, expected.trained, predicted.metric, std::move(predicted.measured)});
    }
  }
  if (tasks.size() != names.size()) {
    throw Error(
        fmt::format("{}: holds evaluations of {} of {} tasks; remove it, and it is made again",
                    (folder_ / "cells" / cell.name).string(), tasks.size(), names.size()));
  }
  return tasks;
}

std::vector<SweptTask> SweepCells::run(const SweepCell& cell) {
  const fs::path at = folder_ / "cells" / cell.name;
  const OutputJson identity = identity_of(cell);
  double seconds = 0;
  std::vector<std::string> files = finished_files(at, identity, seconds);
  if (files.empty()) {
    begin_cell(at, identity);
    const auto start = std::chrono::steady_clock::now();
    const std::string delta = train(cell, at);
    ModelOptions model;
    model.model = session_.folder().path.string();
    model.dtype = dtype_name(session_.decoder().options().dtype);
    model.device = session_.decoder().options().device.str();
    model.deltas = {delta};
    files = evaluate_all(Session(model), cell.evaluated, at);
    seconds = seconds_since(start);
    finish_cell(at, identity, files, seconds);
    if (!options_.keep_models) fs::remove_all(at / "training");
    ++made_;
  }
  seconds_ += seconds;
  return read(cell, files);
}

std::vector<SweptTask> SweepCells::base() {
  SweepCell all{"base", {}, {}, "", 0, {}};
  for (const SweepTask& task : tasks_) all.evaluated.push_back(task.name);
  const fs::path at = folder_ / "cells" / all.name;
  const OutputJson identity = identity_of(all);
  double seconds = 0;
  std::vector<std::string> files = finished_files(at, identity, seconds);
  if (files.empty()) {
    files = evaluate_all(session_, all.evaluated, at);
    finish_cell(at, identity, files, seconds);
  }
  return read(all, files);
}

double SweepCells::tuning_loss(const SweepCell& cell) {
  TrainOptions train = train_options(cell);
  const fs::path out = folder_ / "tuning" / "training";
  fs::remove_all(out);
  train.out = out.string();
  train.data.limit = options_.tune_limit;
  train.epochs = 1;
  train.evaluate = "epoch";
  train.validation_limit = options_.tune_validation;
  double loss = std::numeric_limits<double>::infinity();
  try {
    const TrainResult result = taskneuron::train(session_, train);
    loss = 0;
    for (const TaskResult& task : result.run.validation) {
      loss += task.loss / static_cast<double>(result.run.validation.size());
    }
  } catch (const NonFiniteError&) {
    // Such a rate is simply not the best one.
  }
  fs::remove_all(out);
  return loss;
}

}  // namespace taskneuron

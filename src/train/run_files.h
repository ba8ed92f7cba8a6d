#pragma once

#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "base/json.h"
#include "taskneuron/train/training_run.h"

// The files of a training run's folder (format: docs/formats/training.md).
namespace taskneuron {

constexpr const char* kRunFile = "run.json";
constexpr const char* kStepsFile = "train.jsonl";
constexpr const char* kEvaluationsFile = "evaluation.jsonl";
constexpr const char* kStateFile = "checkpoint.safetensors";
constexpr const char* kCertificateFile = "certificate.json";

// A JSON-lines file that is appended to; lines of steps after `last_step` are dropped first.
class StepLog {
 public:
  StepLog(const std::filesystem::path& path, std::int64_t last_step);
  void add(const OutputJson& row);

 private:
  std::filesystem::path path_;
  std::ofstream stream_;
};

OutputJson evaluation_row(std::int64_t step, const TaskResult& result);
// The results that the log of evaluations holds of a step, without predictions.
std::vector<TaskResult> read_evaluation(const std::filesystem::path& path, std::int64_t step);

OutputJson settings_json(const std::map<std::string, Setting>& settings);
std::map<std::string, std::string> settings_text(const std::map<std::string, Setting>& settings);
// Throws Error, naming the setting, unless what was begun in the folder `where` with the settings
// `before` may go on with these; one that is new was '' before. otherwise: what else can be done.
void require_same_settings(const std::map<std::string, Setting>& now, const JsonView& before,
                           const std::string& where, const std::string& otherwise);
OutputJson inputs_json(const RunInputs& inputs);

}  // namespace taskneuron

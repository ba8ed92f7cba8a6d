// What a stream's models do on its tasks.
#include <fmt/format.h>

#include <algorithm>

#include "base/file.h"
#include "base/sha256.h"
#include "evaluate/result_rows.h"
#include "recipe/blame.h"
#include "recipe/continual_parts.h"
#include "recipe/prediction_files.h"
#include "taskneuron/base/error.h"
#include "taskneuron/base/interruption.h"
#include "taskneuron/base/progress.h"

namespace taskneuron {

namespace fs = std::filesystem;

namespace {

class ChainTest : public TestView {
 public:
  ChainTest(StreamData& data, const StageChain& chain, const std::vector<StreamTask>& tasks,
            std::size_t task, std::optional<std::size_t> stage_of_task)
      : data_(data), chain_(chain), tasks_(tasks), task_(task), stage_of_task_(stage_of_task) {}

  std::size_t stages() const override { return chain_.stages().size(); }
  std::optional<std::size_t> stage_of_task() const override { return stage_of_task_; }
  const at::Tensor& test_features() override { return data_.test_features(tasks_[task_].folder); }
  const at::Tensor& seen_features(std::size_t stage) override {
    return data_.seen_features(tasks_[chain_.stages()[stage].past.task].folder);
  }

 private:
  StreamData& data_;
  const StageChain& chain_;
  const std::vector<StreamTask>& tasks_;
  std::size_t task_;
  std::optional<std::size_t> stage_of_task_;
};

// What tells one evaluation from another. Stages stand by their keys, as a stage is the same one in
// many streams.
std::string answers_key(const std::vector<Answer>& answers, const StageChain& chain) {
  OutputJson json = OutputJson::array();
  for (const Answer& answer : answers) {
    OutputJson one = {{"rows", answer.rows}};
    if (answer.weights.empty()) {
      one["stage"] =
          answer.stage < 0 ? "base" : chain.stages()[static_cast<std::size_t>(answer.stage)].key;
    } else {
      one["weights"] = answer.weights;
      one["combine"] = answer.combine;
      one["stages"] = chain.stages().back().key;
    }
    json.push_back(one);
  }
  return sha256_hex(json_text(json)).substr(0, 16);
}

// Of the rows that are tested, beside the settings that a folder shares.
std::string rows_key(StreamData& data, const std::string& folder) {
  const ContinualOptions& options = data.options();
  return sha256_hex(fmt::format("{} {} {} {}", data.test_hash(folder), options.test_split,
                                options.test_limit, options.generate_limit))
      .substr(0, 8);
}

TaskResult evaluated(const TaskEvaluation& evaluation, const Session& session,
                     const BatchLimits& limits, const std::string& name) {
  TaskResult result;
  blame_weights(session.checkpoint(), [&] {
    Progress bar(fmt::format("evaluate {}", name), evaluation.examples());
    NeuronHook none;
    result = evaluation.run(
        session.decoder(), none, limits,
        [&](std::int64_t examples, std::int64_t tokens) { bar.advance(examples, tokens); });
  });
  return result;
}

void join(TaskResult& all, TaskResult part, const std::vector<std::int64_t>& rows) {
  for (Prediction& prediction : part.predictions) {
    if (!rows.empty()) prediction.index = rows[static_cast<std::size_t>(prediction.index)];
  }
  if (all.task.empty()) {
    all = std::move(part);
    return;
  }
  for (Prediction& prediction : part.predictions) all.predictions.push_back(std::move(prediction));
}

double value_in(const fs::path& path, StreamData& data, const std::string& folder) {
  const std::vector<PredictedTask> found = read_predictions(path.string());
  const Task task = load_task(folder);
  const auto rows = static_cast<std::int64_t>(data.test_rows(folder).size());
  for (const PredictedTask& one : found) require_evaluation_of(one, task, rows, path.string());
  return found.front().measured.value;
}

// Evaluates with each answer's model its rows; all rows in their order in the file.
void write_answers(const std::vector<Answer>& answers, StreamData& data, const StageChain& chain,
                   const std::string& folder, const fs::path& path) {
  TaskResult all;
  for (const Answer& answer : answers) {
    const std::shared_ptr<const Session> session = chain.session_of(answer);
    std::optional<TaskEvaluation> some;
    if (!answer.rows.empty()) some.emplace(data.evaluation(folder, answer.rows));
    const TaskEvaluation& evaluation = some ? *some : data.evaluation(folder);
    const BatchLimits limits = data.reader().fit(evaluation.demand()).limits;
    join(all, evaluated(evaluation, *session, limits, load_task(folder).name), answer.rows);
  }
  std::sort(all.predictions.begin(), all.predictions.end(),
            [](const Prediction& a, const Prediction& b) { return a.index < b.index; });
  AtomicFile file(path);
  write_predictions(file, {{"task", all.task}}, all);
  file.commit();
}

fs::path evaluation_file(StreamData& data, const fs::path& folder, const std::string& task,
                         const std::string& answers) {
  return folder / "evaluated" /
         fmt::format("{}-{}-{}.jsonl", load_task(task).name, answers, rows_key(data, task));
}

}  // namespace

std::optional<double> tested(const Method& method, StreamData& data, const StageChain& chain,
                             const fs::path& folder, const std::vector<StreamTask>& tasks,
                             std::size_t task, std::optional<std::size_t> stage_of_task) {
  ChainTest view(data, chain, tasks, task, stage_of_task);
  const std::vector<Answer> answers = method.answers(view);
  if (answers.empty()) return std::nullopt;
  const std::string& rows = tasks[task].folder;
  const fs::path path = evaluation_file(data, folder, rows, answers_key(answers, chain));
  if (!fs::exists(path)) write_answers(answers, data, chain, rows, path);
  return value_in(path, data, rows);
}

double tested_base(StreamData& data, const Session& session, const fs::path& folder,
                   const std::string& task) {
  const StageChain none(session);
  const std::vector<Answer> answers = {Answer{}};
  const fs::path path = evaluation_file(data, folder, task, answers_key(answers, none));
  if (!fs::exists(path)) write_answers(answers, data, none, task, path);
  return value_in(path, data, task);
}

}  // namespace taskneuron

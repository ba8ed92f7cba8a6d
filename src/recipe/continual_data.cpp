// What a stream's tasks give to train on, to be tested on, and to be told apart by.
#include <fmt/format.h>

#include "base/sha256.h"
#include "recipe/continual_parts.h"
#include "taskneuron/base/compute.h"
#include "taskneuron/base/error.h"
#include "taskneuron/base/progress.h"
#include "taskneuron/continual/features.h"

namespace taskneuron {

namespace fs = std::filesystem;

namespace {

constexpr const char* kTrialSplit = "validation";

}  // namespace

StreamData::StreamData(const Session& session, const ContinualOptions& options, fs::path folder)
    : session_(session),
      options_(options),
      folder_(std::move(folder)),
      reader_(session, options.data) {}

const EncodedTask& StreamData::train(const std::string& task) {
  const auto known = train_.find(task);
  if (known != train_.end()) return known->second;
  return train_.emplace(task, reader_.encode(task)).first->second;
}

std::string StreamData::train_hash(const std::string& task) {
  return rows_hash(task, options_.data.split);
}

std::string StreamData::test_hash(const std::string& task) {
  return rows_hash(task, options_.test_split);
}

const std::string& StreamData::rows_hash(const std::string& task, const std::string& split) {
  std::string& hash = hashes_[task + " " + split];
  if (!hash.empty()) return hash;
  hash = sha256_of_file(fs::path(task) / "meta.json").substr(7, 16) + " " +
         sha256_of_file(split_path(load_task(task), split)).substr(7, 16);
  return hash;
}

std::int64_t StreamData::test_limit(const Task& task) const {
  return task.type == TaskType::kGeneration ? options_.generate_limit : options_.test_limit;
}

std::vector<TaskRow> StreamData::test_rows(const std::string& folder) {
  const Task task = load_task(folder);
  return load_split(task, options_.test_split, test_limit(task));
}

std::vector<TaskRow> StreamData::trial_rows(const std::string& folder) {
  const Task task = load_task(folder);
  const fs::path path = split_path(task, kTrialSplit);
  if (!fs::exists(path)) {
    throw Error(
        fmt::format("{}: no such file; several shares of units are chosen by it", path.string()));
  }
  std::vector<TaskRow> rows = load_split(task, kTrialSplit);
  if (options_.test_split != kTrialSplit) return rows;
  const std::int64_t limit = test_limit(task), all = static_cast<std::int64_t>(rows.size());
  if (limit == 0 || limit >= all) {
    throw Error(fmt::format(
        "{}: all {} rows are tested; several shares of units are chosen by others: give `{}` "
        "below that",
        path.string(), all, task.type == TaskType::kGeneration ? "generate_limit" : "test_limit"));
  }
  rows.erase(rows.begin(), rows.begin() + limit);
  return rows;
}

std::string StreamData::trial_rows_key(const std::string& folder) {
  const Task task = load_task(folder);
  if (!fs::exists(split_path(task, kTrialSplit))) return "none";
  const std::string& rows = rows_hash(folder, kTrialSplit);
  if (options_.test_split != kTrialSplit) return rows;
  return fmt::format("{} after {}", rows, test_limit(task));
}

TaskEvaluation StreamData::evaluation(const std::string& folder,
                                      const std::vector<std::int64_t>& rows) {
  const std::vector<TaskRow> all = test_rows(folder);
  std::vector<TaskRow> some;
  for (const std::int64_t row : rows) some.push_back(all[static_cast<std::size_t>(row)]);
  return {load_task(folder), options_.test_split, some, reader_.encoder(), EvaluationOptions{}};
}

const TaskEvaluation& StreamData::evaluation(const std::string& folder) {
  const auto known = evaluations_.find(folder);
  if (known != evaluations_.end()) return known->second;
  const Task task = load_task(folder);
  TaskEvaluation made(task, options_.test_split, test_rows(folder), reader_.encoder(),
                      EvaluationOptions{});
  note_truncated(task.name, made.truncated(), made.examples());
  return evaluations_.emplace(folder, std::move(made)).first->second;
}

const at::Tensor& StreamData::seen_features(const std::string& task) {
  // Never more rows than train: others are not the method's to see.
  std::int64_t rows = options_.feature_rows;
  if (options_.data.limit > 0) rows = std::min(rows, options_.data.limit);
  const std::string& split = options_.data.split;
  return features(task, split, load_split(load_task(task), split, rows));
}

const at::Tensor& StreamData::test_features(const std::string& task) {
  return features(task, options_.test_split, test_rows(task));
}

// Read from `folder` where they were formed before.
const at::Tensor& StreamData::features(const std::string& folder, const std::string& split,
                                       const std::vector<TaskRow>& rows) {
  const std::string name = folder + " " + split;
  const auto known = features_.find(name);
  if (known != features_.end()) return known->second;
  const Task task = load_task(folder);
  const fs::path source = split_path(task, split);
  const std::string key =
      sha256_hex(fmt::format("{} {}", rows_hash(folder, split), rows.size())).substr(0, 12);
  const fs::path path =
      folder_ / "features" / fmt::format("{}-{}-{}.safetensors", task.name, split, key);
  if (fs::exists(path)) {
    const at::Tensor kept = read_tensor(
        path, "features", at::kFloat,
        {static_cast<std::int64_t>(rows.size()), session_.checkpoint().config().hidden});
    return features_.emplace(name, kept).first->second;
  }
  std::vector<std::vector<std::int64_t>> prompts;
  for (const TaskRow& row : rows) {
    bool truncated = false;
    const std::string where = fmt::format("{}:{}", source.string(), row.line);
    prompts.push_back(reader_.encoder().encode_prompt(row, 0, where, &truncated));
  }
  Progress bar(fmt::format("features {}", task.name), static_cast<std::int64_t>(prompts.size()));
  const at::Tensor found =
      prompt_features(session_.decoder(), prompts, options_.data.limits(),
                      [&](std::int64_t done, std::int64_t tokens) { bar.advance(done, tokens); });
  write_safetensors(
      path, {{"features", found}},
      {{"task", task.name}, {"split", split}, {"model", session_.checkpoint().hash()}});
  return features_.emplace(name, found).first->second;
}

}  // namespace taskneuron

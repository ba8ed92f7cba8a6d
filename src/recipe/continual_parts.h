#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/folder_lock.h"
#include "base/json.h"
#include "taskneuron/continual/combination.h"
#include "taskneuron/continual/method.h"
#include "taskneuron/continual/order.h"
#include "taskneuron/evaluate/evaluation.h"
#include "taskneuron/recipe/continual.h"

namespace taskneuron {

// A method as it is asked for, with all settings: the command's own, the order's, the spec's.
MethodPtr make_method(const MethodSpec& spec, const Order& order, const ContinualOptions& options);

// Its settings by their keys, all that this kind of method reads.
std::map<std::string, Setting> method_settings(const Method& method, const MethodKind& kind);

// Everything but the streams themselves that decides their numbers: the command's options, the
// model, its template and this version. Streams are compared only where all but the version agree.
std::map<std::string, Setting> stream_settings(const Session& session,
                                               const ContinualOptions& options);

// The folder of all runs: makes it, or finds that it is of these settings. What may grow from call
// to call is no part of that: orders, methods, seeds.
FolderLock open_continual_folder(const ContinualOptions& options,
                                 std::map<std::string, Setting> settings);

// A task's rows as the session's model reads them, read once.
class StreamData {
 public:
  StreamData(const Session& session, const ContinualOptions& options, std::filesystem::path folder);

  const TaskReader& reader() const { return reader_; }
  const ContinualOptions& options() const { return options_; }
  const EncodedTask& train(const std::string& task);
  // Of meta.json and the file of rows that train; and that test.
  std::string train_hash(const std::string& task);
  std::string test_hash(const std::string& task);
  std::vector<TaskRow> test_rows(const std::string& task);
  // Validation rows that choices within a stage are made by: those that are not tested. Throws
  // Error when there are none. trial_rows_key: what they depend on.
  std::vector<TaskRow> trial_rows(const std::string& task);
  std::string trial_rows_key(const std::string& task);
  // Evaluation of some rows of the test split, ascending.
  TaskEvaluation evaluation(const std::string& task, const std::vector<std::int64_t>& rows);
  // Of the whole test split, encoded once.
  const TaskEvaluation& evaluation(const std::string& task);
  // Features of the base model (features.h): of the rows that train, and of those that are tested.
  const at::Tensor& seen_features(const std::string& task);
  const at::Tensor& test_features(const std::string& task);

 private:
  // Once for each: streams ask for them at every stage and test.
  const std::string& rows_hash(const std::string& task, const std::string& split);
  // Rows of the split that are tested; 0: all.
  std::int64_t test_limit(const Task& task) const;
  const at::Tensor& features(const std::string& task, const std::string& split,
                             const std::vector<TaskRow>& rows);

  const Session& session_;
  const ContinualOptions& options_;
  std::filesystem::path folder_;
  TaskReader reader_;
  std::map<std::string, std::string> hashes_;
  std::map<std::string, EncodedTask> train_;
  std::map<std::string, TaskEvaluation> evaluations_;
  std::map<std::string, at::Tensor> features_;
};

// A stage that is done.
struct DoneStage {
  std::string key;  // of everything that its weights depend on
  std::filesystem::path folder;
  StagePlan plan;  // without terms: what it started from
  PastStage past;
  StageCost cost;
};

// The stages of a stream so far, and the models that they left.
class StageChain {
 public:
  explicit StageChain(const Session& session) : session_(session) {}

  const Session& base() const { return session_; }
  const std::vector<DoneStage>& stages() const { return stages_; }
  std::vector<PastStage> past() const;
  void add(DoneStage stage);
  void remember(TermState memory) { stages_.back().past.memory = std::move(memory); }
  // What the next stage starts from by a plan.
  Answer start_of(const StagePlan& plan) const { return start_of(plan, stages_.size()); }
  // The model of an answer. The last one that was asked for is kept: its weights are converted
  // once.
  std::shared_ptr<const Session> session_of(const Answer& answer) const;
  const StageChange& change(std::size_t stage) const;
  Checkpoint model_of(const Answer& answer) const;

 private:
  static Answer start_of(const StagePlan& plan, std::size_t stage);
  Delta delta(std::size_t stage, const Checkpoint& before) const;
  Checkpoint before(std::size_t stage) const;
  Checkpoint after(std::int64_t stage) const;

  const Session& session_;
  std::vector<DoneStage> stages_;
  mutable std::map<std::size_t, StageChange> changes_;
  mutable std::int64_t last_stage_ = -1;  // that last_ is the model after
  mutable std::optional<Checkpoint> last_;
  mutable Answer answer_;  // that answering_ is the model of
  mutable std::shared_ptr<const Session> answering_;
};

// Everything that a stage's weights depend on, beside what all stages of a folder share.
struct StageIdentity {
  OutputJson json;
  std::string key;
};
// before: the key of the stage before it, which stands for all earlier ones; empty: none.
StageIdentity stage_identity(const Method& method, StreamData& data,
                             const ContinualOptions& options, const std::string& before,
                             std::size_t position, const std::vector<StreamTask>& tasks,
                             std::uint64_t seed);
// What a stage is called: its task, or "all".
std::string stage_name(const Method& method, const std::vector<StreamTask>& tasks,
                       std::size_t position);
// The seed of a stage of a stream.
std::uint64_t stage_seed(std::uint64_t seed, std::size_t position);

// Trains the next stage of a chain, or reads it. tasks: of the stream; `position`: which is next.
// Adds to `trained` if it had to be trained. Throws NonFiniteError where training diverges.
DoneStage run_stage(const Method& method, StreamData& data, const StageChain& chain,
                    const std::filesystem::path& folder, const std::vector<StreamTask>& tasks,
                    std::size_t position, std::uint64_t seed, std::int64_t& trained);

// A stage that is done, from its folder; task: how many stages are before it. read_change: without
// what later stages need of it beside what it changed.
DoneStage read_stage(const std::filesystem::path& folder, std::size_t task);
DoneStage read_change(const std::filesystem::path& folder, std::size_t task);
// Its own key, made anew from its identity, and that of the stage before it; empty: there was none.
struct StageKeys {
  std::string own;
  std::string before;
};
StageKeys stage_keys(const std::filesystem::path& folder);

// What a method remembers of a chain's last stage, formed now or read.
TermState remembered(const Method& method, StreamData& data, const StageChain& chain,
                     const std::vector<StreamTask>& tasks, std::uint64_t seed, StageCost& cost);

// The metric of a task after the chain's stages, measured now or read; nothing where the method
// cannot answer it. stage_of_task: which stage of the chain trained it.
std::optional<double> tested(const Method& method, StreamData& data, const StageChain& chain,
                             const std::filesystem::path& folder,
                             const std::vector<StreamTask>& tasks, std::size_t task,
                             std::optional<std::size_t> stage_of_task);
// The same of the base model.
double tested_base(StreamData& data, const Session& session, const std::filesystem::path& folder,
                   const std::string& task);

}  // namespace taskneuron

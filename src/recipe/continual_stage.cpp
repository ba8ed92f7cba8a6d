// One stage of a stream: trained, or read where it is done.
#include <fmt/format.h>

#include <chrono>
#include <cstdlib>

#include "base/elapsed.h"
#include "base/file.h"
#include "base/sha256.h"
#include "recipe/blame.h"
#include "recipe/continual_view.h"
#include "recipe/stage_cost.h"
#include "recipe/train_parts.h"
#include "taskneuron/base/error.h"
#include "taskneuron/base/memory.h"
#include "taskneuron/base/progress.h"
#include "taskneuron/base/random.h"
#include "taskneuron/base/tensor_pool.h"
#include "taskneuron/continual/claims.h"
#include "taskneuron/continual/masters.h"
#include "train/run_files.h"

namespace taskneuron {

namespace fs = std::filesystem;

namespace {

constexpr const char* kStageFile = "stage.json";
constexpr const char* kSetFile = "set.json";
constexpr const char* kTrainedFile = "trained.safetensors";  // masters, of adapters
constexpr const char* kStageFormat = "taskneuron.stage/1";

TermState read_tensors(const fs::path& path) {
  const SafetensorsFile file(path);
  TermState tensors;
  for (const auto& item : file.entries()) tensors[item.first] = file.tensor(item.first).clone();
  return tensors;
}

// What is needed of a stage whenever a later one, or a test, builds on it.
void require_file(const fs::path& path, const std::string& task) {
  if (fs::exists(path)) return;
  throw Error(
      fmt::format("{}: is missing, though the stage of {} was done; later stages stand on it. "
                  "Remove the folder "
                  "{} to train it again",
                  path.string(), task, path.parent_path().string()));
}

std::string key_of(const OutputJson& identity) {
  return sha256_hex(json_text(identity)).substr(0, 16);
}

Json read_document(const fs::path& folder) {
  const fs::path path = folder / kStageFile;
  if (!fs::exists(path)) {
    throw Error(
        fmt::format("{}: holds no stage; a stage is a folder TASK-KEY below stages/ in the "
                    "folder of continual, with its {}",
                    folder.string(), kStageFile));
  }
  Json document = read_json(path);
  const JsonView json(document, path.string());
  if (json.string_or("format", "") != kStageFormat) json.fail("is no stage of a stream");
  return document;
}

// A stage while it trains.
class Stage {
 public:
  Stage(const Method& method, ChainView& view, const fs::path& folder, std::size_t position)
      : method_(method), view_(view), folder_(folder), position_(position) {}

  StageCost run(StagePlan plan, const std::string& key);
  const StagePlan& plan() const { return plan_; }

 private:
  void train(const Session& start, const std::string& key, StageCost& cost);
  void count_units(StageCost& cost) const;

  const Method& method_;
  ChainView& view_;
  fs::path folder_;
  std::size_t position_;
  StagePlan plan_;
};

void Stage::count_units(StageCost& cost) const {
  if (!plan_.set) return;
  std::vector<const NeuronSet*> sets;
  for (const PastStage& past : view_.past()) {
    if (past.set) sets.push_back(&*past.set);
  }
  cost.units = plan_.set->size();
  cost.claimed_units = claimed_before(*plan_.set, sets);
}

void Stage::train(const Session& start, const std::string& key, StageCost& cost) {
  StreamData& data = view_.data();
  TrainableModel model = make_trainable(start.checkpoint(), start.decoder(), plan_.what);
  if (!plan_.start.empty()) set_masters(model, plan_.start);
  const std::vector<EncodedTask> tasks = stage_rows(plan_, data, view_.tasks(), position_);
  const TrainOptions options = stage_train_options(method_.settings(), data, view_.seed());
  TrainerOptions how = trainer_options(options, tasks, false);
  const std::vector<std::unique_ptr<StepTerm>> terms = method_.terms(view_, model);
  for (const auto& term : terms) how.terms.push_back(term.get());
  TrainingRunOptions run;
  run.out = folder_ / "training";
  run.resume = true;
  run.settings = {{"stage", key}};
  run.inputs.model = {start.name(), start.checkpoint().hash(), std::nullopt};
  run.checkpoint_seconds = options.checkpoint_seconds;
  const TrainingFolder opened(run);
  std::vector<TrainTask> rows;
  for (const EncodedTask& task : tasks) rows.push_back({task.task.name, task.examples, {}});
  Trainer trainer(model, std::move(rows), how);
  std::vector<at::Tensor> rates = method_.unit_rates(view_, model);
  if (!rates.empty()) trainer.optimizer().set_unit_rates(std::move(rates));
  trainer.set_limits(opened.batch_plan([&] { return data.reader().fit(trainer.demand()); }));
  const TrainingRunResult result = run_with_progress(start, model, trainer, run);
  if (plan_.what.part == TrainedPart::kAdapters) {
    write_safetensors(folder_ / kTrainedFile, masters_of(model), {});
  }
  cost.training_seconds = result.seconds;
  cost.steps = result.steps;
  cost.tokens = result.tokens;
  for (const ParameterPtr& parameter : model.parameters) cost.trained_values += parameter->numel();
}

StageCost Stage::run(StagePlan plan, const std::string& key) {
  plan_ = std::move(plan);
  const std::shared_ptr<const Session> start = view_.start(plan_);
  StageCost cost;
  cost.task = stage_name(method_, view_.tasks(), position_);
  if (plan_.set) {
    // Found in a model that no folder holds: the set is for the base and what comes of it.
    plan_.set->model_hash = view_.base().hash();
    plan_.set->from["found_in"] = view_.last().hash();
    save_set(*plan_.set, folder_ / kSetFile);
    plan_.what.units = plan_.set->units();
  }
  count_units(cost);
  give_back_freed_memory();  // of the stages and methods before
  const AnonymousPeak memory;
  train(*start, key, cost);
  cost.peak_memory_bytes = memory.bytes();
  cost.detection_seconds = view_.detection_seconds();
  return cost;
}

// A training that ended without its stage being recorded (a kill in between) cannot be gone on
// with: it is made again, to the same weights.
void begin_stage(const fs::path& folder) {
  const fs::path run = folder / "training" / kRunFile;
  if (fs::exists(run)) {
    const Json document = read_json(run);
    const bool ended = JsonView(document, run.string()).boolean_or("finished", false);
    if (ended) fs::remove_all(folder / "training");
  }
  std::error_code ignored;
  fs::create_directories(folder, ignored);
  remove_leftovers(folder);
}

std::int64_t kept_bytes(Kept kept, const fs::path& folder, const std::string& task) {
  const auto bytes_of = [&](const fs::path& path) {
    require_file(path, task);
    return static_cast<std::int64_t>(fs::file_size(path));
  };
  switch (kept) {
    case Kept::kChange: return bytes_of(folder / "training" / "delta.safetensors");
    case Kept::kAdapters: return bytes_of(folder / kTrainedFile);
    case Kept::kSet: return bytes_of(folder / kSetFile);
    case Kept::kRelevance: break;
  }
  // The relevance alone, not the sums that scores are made of.
  const fs::path probe = folder / kProbeFile;
  const fs::path path = fs::exists(probe) ? probe : folder / kScoresFile;
  require_file(path, task);
  return SafetensorsFile(path).tensor("relevance.act").numel() *
         static_cast<std::int64_t>(sizeof(float));
}

std::int64_t features_bytes(std::int64_t rows, const StreamData& data) {
  return rows * data.reader().session().checkpoint().config().hidden *
         static_cast<std::int64_t>(sizeof(float));
}

std::int64_t shared_bytes(const Method& method, const StreamData& data, const StreamTask& task,
                          const fs::path& folder) {
  std::int64_t bytes = 0;
  for (const Kept kept : method.keeps_once()) bytes += kept_bytes(kept, folder, task.name);
  const std::int64_t width = data.reader().session().checkpoint().config().hidden;
  return bytes + features_bytes(method.kept_features_once(width), data);
}

std::int64_t stored_bytes(const Method& method, StreamData& data, const StreamTask& task,
                          const fs::path& folder) {
  std::int64_t bytes = 0;
  for (const Kept kept : method.keeps()) bytes += kept_bytes(kept, folder, task.name);
  bytes += features_bytes(method.kept_features(), data);
  const std::vector<std::int64_t> rows = method.kept_rows(task);
  if (rows.empty()) return bytes;
  const DataOptions& read = data.options().data;
  const std::vector<TaskRow> all = load_split(load_task(task.folder), read.split, read.limit);
  for (const std::int64_t row : rows) {
    const TaskRow& one = all[static_cast<std::size_t>(row)];
    bytes += static_cast<std::int64_t>(one.input.size() + one.output.size());
  }
  return bytes;
}

std::string rows_of(const Method& method, StreamData& data, const std::vector<StreamTask>& tasks,
                    std::size_t position) {
  if (!method.together()) {
    const std::string& task = tasks[position].folder;
    const std::string trained = data.train_hash(task);
    return method.validates() ? trained + " " + data.trial_rows_key(task) : trained;
  }
  std::string hashes;
  for (const StreamTask& task : tasks) hashes += data.train_hash(task.folder) + " ";
  return hashes;
}

}  // namespace

StageKeys stage_keys(const fs::path& folder) {
  const Json sorted = read_document(folder);
  const OutputJson document = read_output_json(folder / kStageFile);
  const JsonView json(sorted, (folder / kStageFile).string());
  json.at("identity").object();
  return {key_of(document.at("identity")), json.at("identity").at("before").string()};
}

DoneStage read_change(const fs::path& folder, std::size_t task) {
  const Json document = read_document(folder);
  const JsonView json(document, (folder / kStageFile).string());
  const std::string name = folder.filename().string();
  // Read before the stage is made: a compiler destroys half of an aggregate twice when the rest of
  // its initializers throws.
  const StageCost cost = read_cost(json.at("cost"));
  DoneStage stage{name.substr(name.rfind('-') + 1), folder, {}, {}, cost};
  stage.past.task = task;
  stage.plan.from_base = json.at("from_base").boolean();
  const JsonView weights = json.at("start_weights");
  for (const JsonView& weight : weights.array()) {
    stage.plan.start_weights.push_back(weight.number());
  }
  if (!stage.plan.start_weights.empty() && stage.plan.start_weights.size() != task) {
    weights.fail(fmt::format("has {} weights; there are {} earlier stages",
                             stage.plan.start_weights.size(), task));
  }
  require_file(folder / "training" / "delta.safetensors", stage.cost.task);
  stage.cost.folder = name;
  return stage;
}

DoneStage read_stage(const fs::path& folder, std::size_t task) {
  const Json document = read_document(folder);
  const JsonView json(document, (folder / kStageFile).string());
  DoneStage stage = read_change(folder, task);
  if (json.at("units").boolean()) {
    require_file(folder / kSetFile, stage.cost.task);
    stage.past.set = load_set(folder / kSetFile);
  }
  if (json.at("adapters").boolean()) {
    require_file(folder / kTrainedFile, stage.cost.task);
    stage.past.trained = read_tensors(folder / kTrainedFile);
  }
  return stage;
}

std::uint64_t stage_seed(std::uint64_t seed, std::size_t position) {
  return Random(seed, fmt::format("stage {} of a stream", position)).next() >> 1;
}

TrainOptions stage_train_options(const MethodSettings& settings, const StreamData& data,
                                 std::uint64_t seed) {
  TrainOptions train;
  train.data = data.options().data;
  static_cast<OptimizerOptions&>(train) = data.options();
  train.learning_rate = settings.learning_rate;
  train.epochs = settings.epochs;
  train.batch = settings.batch;
  train.seed = seed;
  train.checkpoint_seconds = data.options().checkpoint_seconds;
  return train;
}

std::vector<EncodedTask> stage_rows(const StagePlan& plan, StreamData& data,
                                    const std::vector<StreamTask>& tasks, std::size_t position) {
  std::vector<EncodedTask> rows = {data.train(tasks[position].folder)};
  for (const std::size_t other : plan.together) rows.push_back(data.train(tasks[other].folder));
  for (const StoredRows& stored : plan.stored) {
    const EncodedTask& all = data.train(tasks[stored.task].folder);
    EncodedTask& some = rows.emplace_back(EncodedTask{all.task, {}, 0});
    for (const std::int64_t row : stored.rows) {
      some.examples.push_back(all.examples[static_cast<std::size_t>(row)]);
    }
  }
  return rows;
}

std::string stage_name(const Method& method, const std::vector<StreamTask>& tasks,
                       std::size_t position) {
  return method.together() ? "all" : tasks[position].name;
}

StageIdentity stage_identity(const Method& method, StreamData& data,
                             const ContinualOptions& options, const std::string& before,
                             std::size_t position, const std::vector<StreamTask>& tasks,
                             std::uint64_t seed) {
  StageIdentity found;
  found.json = {{"before", before},
                {"task", stage_name(method, tasks, position)},
                {"rows", rows_of(method, data, tasks, position)},
                {"seed", stage_seed(seed, position)},
                {"lr", method.settings().learning_rate},
                {"epochs", method.settings().epochs},
                {"batch", method.settings().batch}};
  if (method.finds_units()) found.json["detect_limit"] = options.detect_limit;
  for (const auto& [key, value] : method.identity(position)) found.json["method"][key] = value;
  found.key = key_of(found.json);
  return found;
}

DoneStage run_stage(const Method& method, StreamData& data, const StageChain& chain,
                    const fs::path& folder, const std::vector<StreamTask>& tasks,
                    std::size_t position, std::uint64_t seed, std::int64_t& trained) {
  const ContinualOptions& options = data.options();
  const std::string before = chain.stages().empty() ? "" : chain.stages().back().key;
  const StageIdentity identity =
      stage_identity(method, data, options, before, position, tasks, seed);
  const fs::path at =
      folder / "stages" / fmt::format("{}-{}", stage_name(method, tasks, position), identity.key);
  if (!fs::exists(at / kStageFile)) {
    begin_stage(at);
    ChainView view(data, chain, tasks, stage_seed(seed, position), at);
    Stage stage(method, view, at, position);
    const StageCost cost = stage.run(method.plan(view), identity.key);
    const OutputJson json = {{"format", kStageFormat},
                             {"identity", identity.json},
                             {"from_base", stage.plan().from_base},
                             {"start_weights", stage.plan().start_weights},
                             {"units", stage.plan().set.has_value()},
                             {"adapters", stage.plan().what.part == TrainedPart::kAdapters},
                             {"cost", cost_json(cost)}};
    write_file(at / kStageFile, json_text(json, 1) + "\n");
    ++trained;
  }
  const Json document = read_document(at);
  if (document.value("identity", Json()) != Json(identity.json)) {
    throw Error(
        fmt::format("{}: is of another stage; remove its folder", (at / kStageFile).string()));
  }
  DoneStage stage = read_stage(at, position);
  if (stage.past.set) {
    const Checkpoint& base = data.reader().session().checkpoint();
    require_fit(*stage.past.set, base.config(), base.hash(), OtherWeights::kRefuse,
                (at / kSetFile).string());
  }
  // Not the stage's own: the same one may be several methods'.
  stage.cost.stored_bytes = stored_bytes(method, data, tasks[position], at);
  stage.cost.shared_bytes = shared_bytes(method, data, tasks[position], at);
  return stage;
}

TermState remembered(const Method& method, StreamData& data, const StageChain& chain,
                     const std::vector<StreamTask>& tasks, std::uint64_t seed, StageCost& cost) {
  const std::string what = method.remembers();
  if (what.empty()) return {};
  const DoneStage& last = chain.stages().back();
  const fs::path path =
      last.folder / fmt::format("memory-{}.safetensors", sha256_hex(what).substr(0, 12));
  const std::size_t next = chain.stages().size();
  if (!fs::exists(path)) {
    const StageIdentity later =
        stage_identity(method, data, data.options(), last.key, next, tasks, seed);
    const fs::path stages = last.folder.parent_path();
    const std::string name = stage_name(method, tasks, next);
    if (fs::exists(stages / fmt::format("{}-{}", name, later.key) / kStageFile)) {
      require_file(path, last.cost.task);
    }
    // The view of the stage that is done: the chain before it, with its model as the last one.
    StageChain before(chain.base());
    for (std::size_t k = 0; k + 1 < chain.stages().size(); ++k) before.add(chain.stages()[k]);
    ChainView view(data, before, tasks, stage_seed(seed, next - 1), last.folder);
    view.finished(chain.session_of(chain.start_of(StagePlan{})));
    const auto begun = std::chrono::steady_clock::now();
    NamedTensors memory = method.remember(view);
    write_safetensors(path, std::move(memory),
                      {{"what", what}, {"seconds", fmt::format("{}", seconds_since(begun))}});
  }
  const SafetensorsFile file(path);
  const auto seconds = file.metadata().find("seconds");
  if (seconds != file.metadata().end()) {
    cost.memory_seconds = std::strtod(seconds->second.c_str(), nullptr);
  }
  cost.shared_bytes += static_cast<std::int64_t>(fs::file_size(path));
  return read_tensors(path);
}

}  // namespace taskneuron

#include "taskneuron/recipe/continual.h"

#include <fmt/format.h>

#include <chrono>

#include "base/elapsed.h"
#include "recipe/continual_parts.h"
#include "recipe/stream_summary.h"
#include "taskneuron/base/error.h"
#include "taskneuron/base/interruption.h"
#include "taskneuron/base/progress.h"

namespace taskneuron {

namespace fs = std::filesystem;

namespace {

// One method on one order from one seed.
class Stream {
 public:
  Stream(const Method& method, StreamData& data, const Session& session, fs::path folder,
         std::vector<StreamTask> tasks, std::uint64_t seed)
      : method_(method),
        data_(data),
        session_(session),
        folder_(std::move(folder)),
        tasks_(std::move(tasks)),
        seed_(seed),
        chain_(session) {}

  // What is known when training diverges stays in `run`.
  void run(StreamRun& run, std::int64_t& trained);

 private:
  void run_together(StreamRun& run, std::int64_t& trained);
  void run_stage_of(std::size_t position, StreamRun& run, std::int64_t& trained);
  void add_stage(std::size_t position, std::int64_t& trained);
  void test(std::size_t task, std::size_t after, StreamRun& run,
            std::optional<std::size_t> stage_of_task);

  const Method& method_;
  StreamData& data_;
  const Session& session_;
  fs::path folder_;
  std::vector<StreamTask> tasks_;
  std::uint64_t seed_;
  StageChain chain_;
};

void Stream::test(std::size_t task, std::size_t after, StreamRun& run,
                  std::optional<std::size_t> stage_of_task) {
  run.results.matrix[task][after] =
      tested(method_, data_, chain_, folder_, tasks_, task, stage_of_task);
}

void Stream::add_stage(std::size_t position, std::int64_t& trained) {
  if (!method_.independent()) {
    chain_.add(run_stage(method_, data_, chain_, folder_, tasks_, position, seed_, trained));
    return;
  }
  const StageChain nothing(session_);
  DoneStage stage =
      run_stage(method_, data_, nothing, folder_, {tasks_[position]}, 0, seed_, trained);
  stage.past.task = position;
  chain_.add(std::move(stage));
}

void Stream::run_stage_of(std::size_t position, StreamRun& run, std::int64_t& trained) {
  add_stage(position, trained);
  StageCost cost = chain_.stages().back().cost;
  const bool last = position + 1 == tasks_.size();
  if (!last) {
    chain_.remember(remembered(method_, data_, chain_, tasks_, seed_, cost));
  }
  run.stages.push_back(cost);
  for (std::size_t task = 0; task <= position; ++task) test(task, position, run, task);
  const std::string& unseen = data_.options().unseen;
  if (unseen == "none" || method_.independent()) return;
  for (std::size_t task = position + 1; task < tasks_.size(); ++task) {
    test(task, position, run, std::nullopt);
    if (unseen == "next") return;
  }
}

void Stream::run_together(StreamRun& run, std::int64_t& trained) {
  chain_.add(run_stage(method_, data_, chain_, folder_, tasks_, 0, seed_, trained));
  run.stages.push_back(chain_.stages().back().cost);
  for (std::size_t task = 0; task < tasks_.size(); ++task) test(task, tasks_.size() - 1, run, 0);
}

void Stream::run(StreamRun& run, std::int64_t& trained) {
  const std::size_t count = tasks_.size();
  for (const StreamTask& task : tasks_) run.results.tasks.push_back(task.name);
  run.results.matrix.assign(count, std::vector<std::optional<double>>(count));
  run.results.zero_shot.resize(count);
  run.results.single.resize(count);
  for (std::size_t task = 0; task < count; ++task) {
    run.results.zero_shot[task] = tested_base(data_, session_, folder_, tasks_[task].folder);
  }
  try {
    if (method_.together()) return run_together(run, trained);
    for (std::size_t position = 0; position < count; ++position) {
      run_stage_of(position, run, trained);
    }
  } catch (const NonFiniteError& error) {
    run.diverged = error.what();
    warn(fmt::format("{}, {}, seed {}: training diverged, the stream ends there: {}", run.method,
                     run.order, run.seed, error.what()));
  }
}

// All streams that are asked for.
class Streams {
 public:
  Streams(const Session& session, const ContinualOptions& options)
      : session_(session), options_(options) {
    for (const std::string& path : options.orders) {
      orders_.push_back(load_order(path, options.task_folders));
      for (std::size_t i = 0; i + 1 < orders_.size(); ++i) {
        if (orders_[i].name != orders_.back().name) continue;
        throw Error(fmt::format("{}: another order is named '{}' too ({})", path,
                                orders_.back().name, orders_[i].path));
      }
    }
    // All that is wrong with settings is found before anything is trained.
    for (const std::string& text : options.methods) {
      for (const Order& order : orders_) make_method(parse_method_spec(text), order, options);
    }
  }

  ContinualResult run();

 private:
  StreamRun run_one(const std::string& text, const Order& order, std::uint64_t seed);
  std::optional<double> single(const Method& method, const StreamTask& task, std::uint64_t seed,
                               const StreamRun& of);

  const Session& session_;
  const ContinualOptions& options_;
  std::vector<Order> orders_;
  fs::path folder_;
  std::optional<StreamData> data_;
  ContinualResult found_;
};

std::optional<double> Streams::single(const Method& method, const StreamTask& task,
                                      std::uint64_t seed, const StreamRun& of) {
  StreamRun run;
  run.method = of.method;
  run.order = fmt::format("{} alone", task.name);
  Stream(method, *data_, session_, folder_, {task}, seed).run(run, found_.trained);
  return run.results.matrix[0][0];
}

StreamRun Streams::run_one(const std::string& text, const Order& order, std::uint64_t seed) {
  const MethodPtr method = make_method(parse_method_spec(text), order, options_);
  std::vector<StreamTask> tasks;
  for (const OrderTask& task : order.tasks) {
    const auto rows = static_cast<std::int64_t>(data_->train(task.folder).examples.size());
    tasks.push_back({task.name, task.folder, rows});
  }
  StreamRun run;
  for (const OrderTask& task : order.tasks) {
    run.rows[task.name] = data_->train_hash(task.folder) + " " + data_->test_hash(task.folder);
  }
  run.method = text;
  run.order = order.name;
  run.seed = seed;
  run.settings = method_settings(*method, find_method(parse_method_spec(text).name));
  Stream(*method, *data_, session_, folder_, tasks, seed).run(run, found_.trained);
  if (!options_.no_single && !method->together()) {
    for (std::size_t i = 0; i < tasks.size(); ++i) {
      run.results.single[i] = single(*method, tasks[i], seed, run);
    }
  }
  run.metrics = stream_metrics(run.results);
  return run;
}

ContinualResult Streams::run() {
  found_.settings = stream_settings(session_, options_);
  const FolderLock lock = open_continual_folder(options_, found_.settings);
  folder_ = options_.out;
  data_.emplace(session_, options_, folder_);
  found_.methods = options_.methods;
  const auto start = std::chrono::steady_clock::now();
  std::size_t trained_streams = 0;
  const std::size_t all =
      options_.methods.size() * orders_.size() * static_cast<std::size_t>(options_.seeds);
  for (std::int64_t seed = 0; seed < options_.seeds; ++seed) {
    for (const Order& order : orders_) {
      for (const std::string& text : options_.methods) {
        const std::int64_t before = found_.trained;
        found_.runs.push_back(
            run_one(text, order, options_.seed + static_cast<std::uint64_t>(seed)));
        // Streams of an earlier call are read in no time, and tell nothing of the others.
        if (found_.trained == before || found_.runs.size() == all) continue;
        const double each = seconds_since(start) / static_cast<double>(++trained_streams);
        note(fmt::format("{} of {} streams; about {} left", found_.runs.size(), all,
                         clock_time(each * static_cast<double>(all - found_.runs.size()))));
      }
    }
  }
  found_.summary = summary_of(found_.runs);
  return std::move(found_);
}

}  // namespace

ContinualResult continual(const Session& session, const ContinualOptions& options) {
  options.check();
  if (!session.deltas().empty()) {
    throw UsageError("streams start from the model itself; make a folder of `delta` with apply");
  }
  const std::string line = fmt::format(
      "interrupted: {} holds streams that have begun; the same command goes on with them",
      options.out);
  const LineWhenInterrupted told(line);
  try {
    return Streams(session, options).run();
  } catch (const Interrupted&) {
    throw Interrupted(line);
  }
}

}  // namespace taskneuron

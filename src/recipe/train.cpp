#include "taskneuron/recipe/train.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <optional>

#include "base/file.h"
#include "base/world.h"
#include "recipe/blame.h"
#include "recipe/help.h"
#include "recipe/train_parts.h"
#include "taskneuron/base/error.h"
#include "taskneuron/base/interruption.h"
#include "taskneuron/base/progress.h"
#include "taskneuron/evaluate/evaluation.h"
#include "taskneuron/train/l2_start.h"
#include "train/run_files.h"

namespace taskneuron {

namespace fs = std::filesystem;

namespace {

void declare_what(TrainOptions& options, OptionList& list) {
  list.add("set", &options.sets, Effect::kInput,
           "Train the units of this set; of several, one per task in the tasks' order, each "
           "task's steps update its own");
  list.add("ffn", &options.feed_forward, Effect::kResult, "Train every FFN matrix");
  list.add("full", &options.full, Effect::kResult, "Train every tensor");
  list.add("lora", &options.lora_rank, Effect::kResult, "Train low-rank adapters of this rank")
      .at_least(1)
      .without_default();
  list.add("lora_alpha", &options.lora_alpha, Effect::kResult,
           "Scale of adapters is alpha / rank; default: 4 times the rank")
      .at_least(0)
      .without_default();
  list.add("lora_targets", &options.lora_targets, Effect::kResult,
           "query, key, value, attention-output, gate, up, down");
}

void declare_how(TrainOptions& options, OptionList& list) {
  list.add("lr", &options.learning_rate, Effect::kResult, "Learning rate");
  options.declare_optimizer(list);
  list.add("l2_start", &options.l2_start, Effect::kResult,
           "Weight L of a penalty L/2 times the squared distance of what is trained from its "
           "start; 0: off")
      .at_least(0);
  list.add("epochs", &options.epochs, Effect::kResult, "Passes over the rows");
  list.add("steps", &options.steps, Effect::kResult, "Optimizer steps, instead of `epochs`")
      .at_least(0)
      .without_default();
  list.add("batch", &options.batch, Effect::kResult, "Examples per optimizer step").at_least(1);
  list.add("accumulate", &options.accumulate, Effect::kResult,
           "Forward passes that a step is cut into, at least (memory, not results)")
      .at_least(1);
  list.add("mixing", &options.mixing, Effect::kResult,
           "Several tasks: proportional to their rows, equal, or temperature=T (weight "
           "rows^(1/T))");
  list.add("seed", &options.seed, Effect::kResult, "Seed of order, mixing and adapters");
  list.add("no_shared_prefix", &options.no_shared_prefix, Effect::kResult,
           "Run each example's instruction by itself (for measurements)");
}

void declare_run(TrainOptions& options, OptionList& list) {
  list.add("evaluate", &options.evaluate, Effect::kResult,
           "When to evaluate the validation split, beside before the first step: epoch, none, or "
           "every so many steps");
  list.add("validation_split", &options.validation_split, Effect::kResult, "Split to evaluate");
  list.add("validation_limit", &options.validation_limit, Effect::kResult, "Rows of it; 0: all")
      .at_least(0);
  list.add("patience", &options.patience, Effect::kResult,
           "Stop after so many evaluations without a better mean loss and keep the best weights; "
           "0: off")
      .at_least(0);
  list.add("save", &options.save, Effect::kResult,
           "delta or model; default: delta with `set` and `lora`, else model");
  list.add("checkpoint_seconds", &options.checkpoint_seconds, Effect::kNone, "Between checkpoints")
      .at_least(0);
  list.add("resume", &options.resume, Effect::kNone,
           "Go on with the run in `out`, to the very weights of an uninterrupted one; starts it "
           "where there is none");
  list.add("allow_other_weights", &options.allow_other_weights, Effect::kNone, kOtherWeightsHelp);
}

}  // namespace

void OptimizerOptions::declare_optimizer(OptionList& list) {
  list.add("schedule", &schedule, Effect::kResult, "constant, linear or cosine, to zero");
  list.add("warmup_steps", &warmup_steps, Effect::kResult, "Steps of rising learning rate")
      .at_least(0);
  list.add("weight_decay", &weight_decay, Effect::kResult, "Decoupled weight decay").at_least(0);
  list.add("clip", &clip, Effect::kResult, "Largest gradient norm; 0: any").at_least(0);
}

void TrainOptions::declare(OptionList& list) {
  data.declare(list);
  list.remove("batch");  // here it counts examples per step
  declare_what(*this, list);
  list.add("out", &out, Effect::kNone, "Folder of the run, and of what it makes").required();
  declare_how(*this, list);
  declare_run(*this, list);
}

namespace {

// What an earlier run left is TrainingFolder's to judge.
void require_run_folder(const fs::path& out) {
  std::error_code ignored;
  if (!is_free_folder(out, kRunFile) && !fs::exists(out / kRunFile, ignored)) {
    require_new_folder(out);
  }
}

// Steps between evaluations; 0: none.
std::int64_t evaluate_every(const TrainOptions& options, std::int64_t steps_per_epoch) {
  if (options.evaluate == "none") return 0;
  if (options.evaluate == "epoch") return steps_per_epoch;
  char* end = nullptr;
  const std::int64_t every = std::strtoll(options.evaluate.c_str(), &end, 10);
  if (*end != '\0' || every <= 0) {
    throw UsageError("evaluate", options.evaluate, "epoch, none or a number of steps");
  }
  return every;
}

// The plan of all steps is held in memory.
void require_few_steps(std::int64_t steps) {
  constexpr std::int64_t kMost = 4'000'000;
  if (steps <= kMost) return;
  throw UsageError(fmt::format("{} steps are more than the {} that a run may have; lower `epochs`",
                               steps, kMost));
}

}  // namespace

TrainerOptions trainer_options(const TrainOptions& options, const std::vector<EncodedTask>& tasks,
                               bool by_task) {
  TrainerOptions result;
  result.adamw.weight_decay = options.weight_decay;
  result.sampling.batch = options.batch;
  result.sampling.seed = options.seed;
  result.sampling.one_task_per_step = by_task;
  parse_mixing(options.mixing, result.sampling);
  std::vector<std::int64_t> rows;
  for (const EncodedTask& task : tasks) {
    rows.push_back(static_cast<std::int64_t>(task.examples.size()));
  }
  const std::int64_t per_epoch = Sampler(rows, result.sampling).steps_per_epoch();
  result.schedule.kind = parse_schedule(options.schedule);
  result.schedule.learning_rate = options.learning_rate;
  result.schedule.warmup_steps = options.warmup_steps;
  result.schedule.steps =
      options.steps > 0
          ? options.steps
          : std::max<std::int64_t>(1, static_cast<std::int64_t>(
                                          options.epochs * static_cast<double>(per_epoch) + 0.5));
  require_few_steps(result.schedule.steps);
  result.clip = options.clip;
  result.accumulate = options.accumulate;
  result.limits = {0, options.data.batch_tokens};
  result.share_prefix = !options.no_shared_prefix;
  return result;
}

namespace {

std::vector<TaskEvaluation> make_validation(const TrainOptions& options,
                                            const ExampleEncoder& encoder) {
  std::vector<TaskEvaluation> validation;
  for (const std::string& folder : options.data.tasks) {
    const Task task = load_task(folder);
    const fs::path path = split_path(task, options.validation_split);
    if (!fs::exists(path)) {
      throw Error(
          fmt::format("{}: no such file; name another `validation_split`, or train with "
                      "`evaluate` none",
                      path.string()));
    }
    EvaluationOptions evaluation;
    if (task.type == TaskType::kGeneration) evaluation.scoring = Scoring::kLoss;
    validation.emplace_back(task, options.validation_split,
                            load_split(task, options.validation_split, options.validation_limit),
                            encoder, evaluation);
  }
  return validation;
}

// A task's validation split, where there is evaluation.
std::vector<TaskEvaluation> validation_of(const TrainOptions& options, const TaskReader& reader) {
  if (options.evaluate == "none") return {};
  return make_validation(options, reader.encoder());
}

std::vector<TrainTask> train_tasks(std::vector<EncodedTask> tasks, const Trained& trained) {
  std::vector<TrainTask> result;
  for (std::size_t t = 0; t < tasks.size(); ++t) {
    result.push_back({tasks[t].task.name, std::move(tasks[t].examples), {}});
    if (!trained.by_task.empty()) result.back().units = trained.by_task[t];
  }
  return result;
}

TrainingRunOptions run_options(const TrainOptions& options, const TaskReader& reader,
                               const Trained& trained) {
  TrainingRunOptions run;
  run.out = options.out;
  run.resume = options.resume;
  run.inputs = inputs_of(options, reader.session());
  run.settings = identity_of(options, reader, trained, run.inputs);
  run.save = options.save == "delta" ? SaveAs::kDelta : SaveAs::kModel;
  run.checkpoint_seconds = options.checkpoint_seconds;
  run.patience = options.patience;
  return run;
}

// Sets are among them by their hashes.
void require_same_settings(std::map<std::string, Setting> settings) {
  if (world().alone()) return;
  settings.erase("device");  // each rank has its own
  std::string text;
  for (const auto& [name, value] : settings_text(settings)) text += name + " " + value + ", ";
  world().require_same("settings", text);
}

}  // namespace

TrainingRunResult run_with_progress(const Session& session, TrainableModel& model, Trainer& trainer,
                                    TrainingRunOptions& options, const RankSum* ranks) {
  TrainingRunResult result;
  blame_weights(session.checkpoint(), [&] {
    const DeferredSignals signals;
    Progress bar("train", trainer.steps());
    result = run_training(session.checkpoint(), model, trainer, options,
                          [&](const TrainingProgress& done) {
                            const bool ends = ranks ? ranks->ends() : signals.requested();
                            if (ends) throw Interrupted("");
                            bar.describe(fmt::format("loss {:.4f}", done.loss));
                            if (done.resumed) return bar.skip(done.steps);
                            bar.advance(done.steps, done.tokens);
                          });
  });
  return result;
}

namespace {

void require_above_zero(const char* option, double value) {
  if (value > 0) return;
  throw UsageError(option, fmt::format("{}", value), "a number above 0", "is out of range");
}

}  // namespace

void TrainOptions::check() const {
  check_declared(*this);
  data.check();
  const int ways =
      (sets.empty() ? 0 : 1) + (full ? 1 : 0) + (feed_forward ? 1 : 0) + (lora_rank > 0 ? 1 : 0);
  if (ways != 1) {
    throw UsageError("say what to train, one of `set`, `ffn`, `full` and `lora`");
  }
  if (sets.size() > 1 && sets.size() != data.tasks.size()) {
    throw UsageError(fmt::format(
        "{} sets for {} tasks; give one set for all tasks, or one for each in their order",
        sets.size(), data.tasks.size()));
  }
  if (!save.empty() && save != "delta" && save != "model") {
    throw UsageError("save", save, "delta or model");
  }
  require_above_zero("lr", learning_rate);
  require_above_zero("epochs", epochs);
  if (!(epochs < 1e9)) {
    throw UsageError("epochs", fmt::format("{}", epochs), "a number below 1e9", "is too many");
  }
  parse_schedule(schedule);
  SamplingOptions sampling;
  parse_mixing(mixing, sampling);
  if (evaluate == "none" && patience > 0) {
    throw UsageError("`patience` needs evaluations; leave `evaluate` out");
  }
  evaluate_every(*this, 1);
  require_lora_targets({lora_targets.begin(), lora_targets.end()});
  require_run_folder(out);
}

TrainResult train(const Session& session, const TrainOptions& given) {
  given.check();
  TrainOptions options = given;
  if (options.save.empty()) {
    options.save = !options.sets.empty() || options.lora_rank > 0 ? "delta" : "model";
  }
  if (!session.deltas().empty() && options.save == "delta") {
    throw UsageError("a delta is against a model folder; with `delta` use `save` model");
  }
  const TaskReader reader(session, options.data);
  const Trained trained = what_is_trained(options, session.checkpoint());
  std::vector<EncodedTask> tasks;
  for (const std::string& folder : options.data.tasks) tasks.push_back(reader.encode(folder));
  TrainerOptions how = trainer_options(options, tasks, !trained.by_task.empty());
  std::optional<L2Start> l2_start;
  if (options.l2_start > 0) how.terms.push_back(&l2_start.emplace(options.l2_start));
  const std::vector<TaskEvaluation> validation = validation_of(options, reader);
  TrainableModel model = make_trainable(session.checkpoint(), session.decoder(), trained.all);
  TrainingRunOptions run = run_options(options, reader, trained);
  require_same_settings(run.settings);
  run.validation = validation.empty() ? nullptr : &validation;
  run.validation_limits = options.data.limits();
  const TrainingFolder folder(run);
  const LineWhenInterrupted line(fmt::format(
      "interrupted: {} holds a run that has begun; `resume` goes on with it", options.out));
  TrainResult result;
  for (const ParameterPtr& parameter : model.parameters) {
    result.trained_values += parameter->numel();
  }
  if (auto known = folder.finished()) {
    note(fmt::format("{}: the run is finished; this is what came out", options.out));
    result.run = std::move(*known);
    return result;
  }
  std::vector<TrainTask> rows = train_tasks(std::move(tasks), trained);
  std::optional<RankSum> ranks;
  if (!world().alone()) how.terms.push_back(&ranks.emplace(rows));
  Trainer trainer(model, std::move(rows), how);
  trainer.set_limits(folder.batch_plan([&] { return reader.fit(trainer.demand()); }));
  run.evaluate_every = evaluate_every(options, trainer.steps_per_epoch());

  result.run = run_with_progress(session, model, trainer, run, ranks ? &*ranks : nullptr);
  result.gradient_and_optimizer_bytes = trainer.optimizer().bytes();
  return result;
}

}  // namespace taskneuron

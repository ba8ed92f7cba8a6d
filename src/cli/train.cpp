#include "cli/train.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <optional>

#include "taskneuron/base/compute.h"
#include "taskneuron/base/error.h"
#include "taskneuron/base/interruption.h"
#include "taskneuron/evaluate/evaluation.h"
#include "taskneuron/train/l2_start.h"

namespace taskneuron::cli {

namespace fs = std::filesystem;

namespace {

void check_usage(const TrainOptions& options) {
  const int ways = (options.sets.empty() ? 0 : 1) + (options.full ? 1 : 0) +
                   (options.feed_forward ? 1 : 0) + (options.lora_rank > 0 ? 1 : 0);
  if (ways != 1) {
    throw UsageError("say what to train, one of --set, --ffn, --full and --lora RANK");
  }
  if (options.sets.size() > 1 && options.sets.size() != options.data.tasks.size()) {
    throw UsageError(fmt::format(
        "{} sets for {} tasks; give one set for all tasks, or one for each in their order",
        options.sets.size(), options.data.tasks.size()));
  }
  if (!options.save.empty() && options.save != "delta" && options.save != "model") {
    throw UsageError(fmt::format("--save '{}' is unknown; use delta or model", options.save));
  }
  if (!(options.learning_rate > 0)) throw UsageError("--lr must be above 0");
  if (!(options.epochs > 0)) throw UsageError("--epochs must be above 0");
  if (!(options.epochs < 1e9)) throw UsageError("--epochs must be below 1e9");
  if (options.lora_alpha < 0) throw UsageError("--lora-alpha must be above 0");
  parse_schedule(options.schedule);
  SamplingOptions sampling;
  parse_mixing(options.mixing, sampling);
}

// Before the model is opened; what an earlier run left is TrainingFolder's to judge.
void require_run_folder(const fs::path& out) {
  std::error_code ignored;
  const bool empty = fs::is_directory(out, ignored) && fs::is_empty(out, ignored);
  if (!empty && !fs::exists(out / "run.json", ignored)) require_new_folder(out);
}

// Steps between evaluations; 0: none.
std::int64_t evaluate_every(const TrainOptions& options, std::int64_t steps_per_epoch) {
  if (options.evaluate == "none") {
    if (options.patience > 0)
      throw UsageError("--patience needs evaluations; leave --evaluate out");
    return 0;
  }
  if (options.evaluate == "epoch") return steps_per_epoch;
  char* end = nullptr;
  const std::int64_t every = std::strtoll(options.evaluate.c_str(), &end, 10);
  if (*end != '\0' || every <= 0) {
    throw UsageError(fmt::format("--evaluate '{}' is unknown; use epoch, none or a number of steps",
                                 options.evaluate));
  }
  return every;
}

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
  result.clip = options.clip;
  result.accumulate = options.accumulate;
  result.limits = {0, options.data.batch_tokens};
  result.share_prefix = !options.no_shared_prefix;
  return result;
}

std::vector<TaskEvaluation> make_validation(const TrainOptions& options,
                                            const ExampleEncoder& encoder) {
  std::vector<TaskEvaluation> validation;
  for (const std::string& folder : options.data.tasks) {
    const Task task = load_task(folder);
    const fs::path path = split_path(task, options.validation_split);
    if (!fs::exists(path)) {
      throw Error(
          fmt::format("{}: no such file; name another --validation-split, or train with "
                      "--evaluate none",
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

std::vector<TrainTask> train_tasks(std::vector<EncodedTask> tasks, const Trained& trained) {
  std::vector<TrainTask> result;
  for (std::size_t t = 0; t < tasks.size(); ++t) {
    result.push_back({tasks[t].task.name, std::move(tasks[t].examples), {}});
    if (!trained.by_task.empty()) result.back().units = trained.by_task[t];
  }
  return result;
}

void run(const TrainOptions& given) {
  TrainOptions options = given;
  options.common.apply();
  check_usage(options);
  if (options.save.empty()) {
    options.save = !options.sets.empty() || options.lora_rank > 0 ? "delta" : "model";
  }
  require_run_folder(options.out);
  const PromptTemplate prompt = find_template(options.data, options.model.folder);
  const LoadedModel model(options.model);
  if (!options.model.deltas.empty() && options.save == "delta") {
    throw UsageError("a delta is against a model folder; with --delta use --save model");
  }
  const ExampleEncoder encoder(model.tokenizer(), prompt, model.encoder_options(options.data));
  const Trained trained = what_is_trained(options, model);
  std::vector<EncodedTask> tasks;
  for (const std::string& folder : options.data.tasks) {
    tasks.push_back(encode_task(folder, options.data, encoder));
  }
  TrainerOptions trainer_settings = trainer_options(options, tasks, !trained.by_task.empty());
  std::optional<L2Start> l2_start;
  if (options.l2_start > 0) trainer_settings.terms.push_back(&l2_start.emplace(options.l2_start));
  const std::vector<TaskEvaluation> validation = options.evaluate == "none"
                                                     ? std::vector<TaskEvaluation>()
                                                     : make_validation(options, encoder);
  TrainingRunOptions run_options;
  TrainableModel trainable = make_trainable(model.checkpoint(), model.decoder(), trained.all);
  run_options.out = options.out;
  run_options.resume = options.resume;
  run_options.inputs = inputs_of(options, model);
  run_options.settings =
      settings_of(options, model, prompt, trained, trainer_settings, run_options.inputs);
  run_options.save = options.save == "delta" ? SaveAs::kDelta : SaveAs::kModel;
  run_options.checkpoint_seconds = options.checkpoint_seconds;
  run_options.patience = options.patience;
  run_options.validation = validation.empty() ? nullptr : &validation;
  const TrainingFolder folder(run_options);

  Trainer trainer(trainable, train_tasks(std::move(tasks), trained), trainer_settings);
  trainer.set_limits(folder.batch_plan(
      [&] { return options.data.fit(model.checkpoint(), model.decoder(), trainer.demand()); }));
  run_options.evaluate_every = evaluate_every(options, trainer.steps_per_epoch());
  run_options.validation_limits = options.data.limits();
  TrainingRunResult result;
  blame_weights(model.checkpoint(), [&] {
    const DeferredSignals signals;
    run_options.interrupted = [&] { return signals.requested(); };
    Progress bar("train", trainer.steps());
    const auto report = [&](const TrainingProgress& done) {
      bar.describe(fmt::format("loss {:.4f}", done.loss));
      if (done.resumed) return bar.skip(done.steps);
      bar.advance(done.steps, done.tokens);
    };
    result = run_training(model.checkpoint(), trainable, trainer, run_options, report);
  });
  print_result(options, trainable, trainer, result);
}

void add_what(CLI::App& command, TrainOptions& options) {
  command.add_option("--set", options.sets,
                     "Train the units of this set; of several, one per task in the tasks' order, "
                     "each task's steps update its own");
  command.add_flag("--ffn", options.feed_forward, "Train every FFN matrix");
  command.add_flag("--full", options.full, "Train every tensor");
  command.add_option("--lora", options.lora_rank, "Train low-rank adapters of this rank")
      ->check(at_least(1));
  command.add_option("--lora-alpha", options.lora_alpha,
                     "Scale of adapters is alpha / rank; "
                     "default: 4 times the rank");
  command
      .add_option("--lora-targets", options.lora_targets,
                  "query, key, value, attention-output, gate, up, down")
      ->capture_default_str();
}

void add_how(CLI::App& command, TrainOptions& options) {
  command.add_option("--lr", options.learning_rate, "Learning rate")->capture_default_str();
  command.add_option("--schedule", options.schedule, "constant, linear or cosine, to zero")
      ->capture_default_str();
  command.add_option("--warmup-steps", options.warmup_steps, "Steps of rising learning rate")
      ->check(at_least(0))
      ->capture_default_str();
  command.add_option("--weight-decay", options.weight_decay, "Decoupled weight decay")
      ->check(at_least(0))
      ->capture_default_str();
  command.add_option("--clip", options.clip, "Largest gradient norm; 0: any")
      ->check(at_least(0))
      ->capture_default_str();
  command
      .add_option(
          "--l2-start", options.l2_start,
          "Weight L of a penalty L/2 times the squared distance of what is trained from its "
          "start; 0: off")
      ->check(at_least(0))
      ->capture_default_str();
  command.add_option("--epochs", options.epochs, "Passes over the rows")->capture_default_str();
  command.add_option("--steps", options.steps, "Optimizer steps, instead of --epochs")
      ->check(at_least(0));
  command.add_option("--batch", options.batch, "Examples per optimizer step")
      ->check(at_least(1))
      ->capture_default_str();
  command
      .add_option("--accumulate", options.accumulate,
                  "Forward passes that a step is cut into, at least (memory, not results)")
      ->check(at_least(1))
      ->capture_default_str();
  command
      .add_option("--mixing", options.mixing,
                  "Several tasks: proportional to their rows, equal, or temperature=T "
                  "(weight rows^(1/T))")
      ->capture_default_str();
  command.add_option("--seed", options.seed, "Seed of order, mixing and adapters")
      ->capture_default_str();
  command.add_flag("--no-shared-prefix", options.no_shared_prefix,
                   "Run each example's instruction by itself (for measurements)");
}

void add_run(CLI::App& command, TrainOptions& options) {
  command
      .add_option("--evaluate", options.evaluate,
                  "When to evaluate the validation split, beside before the first step: epoch, "
                  "none, or every so many steps")
      ->capture_default_str();
  command.add_option("--validation-split", options.validation_split, "Split to evaluate")
      ->capture_default_str();
  command.add_option("--validation-limit", options.validation_limit, "Rows of it; 0: all")
      ->check(at_least(0))
      ->capture_default_str();
  command
      .add_option("--patience", options.patience,
                  "Stop after so many evaluations without a better mean loss and keep the best "
                  "weights; 0: off")
      ->check(at_least(0))
      ->capture_default_str();
  command.add_option("--save", options.save,
                     "delta or model; default: delta with --set and --lora, else model");
  command.add_option("--checkpoint-seconds", options.checkpoint_seconds, "Between checkpoints")
      ->check(at_least(0))
      ->capture_default_str();
  command.add_flag("--resume", options.resume,
                   "Go on with the run in --out, to the very weights of an uninterrupted one; "
                   "starts it where there is none");
  command.add_flag("--allow-other-weights", options.allow_other_weights,
                   "Use sets that were made for other weights of the same shape");
}

}  // namespace

void add_train(CLI::App& app) {
  auto options = std::make_shared<TrainOptions>();
  CLI::App* command = app.add_subcommand(
      "train", "Fine-tune the units of a set alone, or the FFNs, everything, or LoRA adapters");
  options->model.add_to(*command);
  options->data.add_to(*command, "train");
  command->remove_option(command->get_option("--batch"));  // here it counts examples per step
  add_what(*command, *options);
  command->add_option("--out", options->out, "Folder of the run, and of what it makes")->required();
  add_how(*command, *options);
  add_run(*command, *options);
  options->common.add_to(*command);
  command->footer(
      std::string(
          "Examples:\n  taskneuron train examples/models/mini --task examples/tasks/scitail \\\n"
          "    --set scitail.json --lr 1e-3 --out tuned\n"
          "  taskneuron evaluate examples/models/mini --task examples/tasks/scitail \\\n"
          "    --delta tuned/delta.safetensors") +
      kTermsFooter);
  command->callback([options] { run(*options); });
}

}  // namespace taskneuron::cli

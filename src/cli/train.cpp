#include "taskneuron/recipe/train.h"

#include <fmt/format.h>

#include <filesystem>

#include "base/world.h"
#include "cli/command.h"
#include "taskneuron/base/interruption.h"
#include "train/run_files.h"

namespace taskneuron::cli {

namespace {

struct Options {
  CommonOptions common;
  ModelOptions model;
  TrainOptions train;
};

OutputJson validation_json(std::int64_t step, const std::vector<TaskResult>& results) {
  OutputJson list = OutputJson::array();
  for (const TaskResult& result : results) {
    list.push_back(evaluation_row(step, result));
  }
  return list;
}

void print_validation(const TrainingRunResult& result) {
  if (result.validation.empty()) return;
  Table table({"task", "split", "metric", "step", "value", "stderr", "loss", "n"});
  const auto add = [&](const std::vector<TaskResult>& rows, std::int64_t step) {
    for (const TaskResult& row : rows) {
      table.add({row.task, row.split, row.metric.name, std::to_string(step),
                 fmt::format("{:.4f}", row.value), fmt::format("{:.4f}", row.standard_error),
                 fmt::format("{:.4f}", row.loss), std::to_string(row.examples)});
    }
  };
  add(result.validation_before, 0);
  add(result.validation, result.best_step);
  table.print();
}

void print_result(const Options& options, const TrainResult& result) {
  const TrainingRunResult& run = result.run;
  if (options.common.json) {
    return print_json(
        {{"model", options.model.model},
         {"steps", run.steps},
         {"best_step", run.best_step},
         {"stopped_early", run.stopped_early},
         {"first_loss", run.first_loss},
         {"last_loss", run.last_loss},
         {"trained_values", result.trained_values},
         {"gradient_and_optimizer_bytes", or_null(result.gradient_and_optimizer_bytes)},
         {"tokens", run.tokens},
         {"seconds", run.seconds},
         {"tokens_per_second", static_cast<double>(run.tokens) / run.seconds},
         {"frozen_identical", run.certificate.holds()},
         {"validation", validation_json(run.best_step, run.validation)},
         {"validation_before", validation_json(0, run.validation_before)},
         {"out", options.train.out},
         {"file", run.file}});
  }
  fmt::print("{} steps on {} values, loss {:.4f} -> {:.4f}, {} tokens in {:.1f} s{}\n", run.steps,
             result.trained_values, run.first_loss, run.last_loss, run.tokens, run.seconds,
             run.stopped_early ? ", stopped early" : "");
  if (options.train.patience > 0) fmt::print("weights of step {}\n", run.best_step);
  fmt::print("{} values outside of them are bit-identical to {}: {}\n",
             run.certificate.frozen_values, options.model.model,
             (std::filesystem::path(options.train.out) / "certificate.json").string());
  print_validation(run);
  fmt::print("{}\n", run.file);
}

void run(const Options& options) {
  options.common.apply();
  if (options.train.resume) {
    mirror_files(options.train.out,
                 {kRunFile, kStepsFile, kEvaluationsFile, kStateFile, kCertificateFile});
  }
  options.train.check();
  const Session session(options.model);
  const TrainResult result = train(session, options.train);
  const LineWhenInterrupted line(
      fmt::format("interrupted: the run in {} is complete", options.train.out));
  print_result(options, result);
}

}  // namespace

void add_train(CLI::App& app) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      add_command(app, "train",
                  "Fine-tune the units of a set alone, or the FFNs, everything, or LoRA adapters");
  add_options(*command, options->model, options->train);
  options->common.add_to(*command);
  set_shared_run(
      *command,
      std::string(
          "Examples:\n  taskneuron train examples/models/mini --task examples/tasks/scitail \\\n"
          "    --set scitail.json --lr 1e-3 --out tuned\n"
          "  taskneuron evaluate examples/models/mini --task examples/tasks/scitail \\\n"
          "    --delta tuned/delta.safetensors") +
          kTermsFooter,
      {&options->train.out}, [options] { run(*options); });
}

}  // namespace taskneuron::cli

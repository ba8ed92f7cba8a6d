#include "cli/train.h"

#include <fmt/format.h>

#include <filesystem>

namespace taskneuron::cli {

namespace {

std::int64_t values_of(const TrainableModel& model) {
  std::int64_t values = 0;
  for (const ParameterPtr& parameter : model.parameters) values += parameter->numel();
  return values;
}

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

}  // namespace

void print_result(const TrainOptions& options, const TrainableModel& model, Trainer& trainer,
                  const TrainingRunResult& result) {
  const std::int64_t values = values_of(model);
  if (options.common.json) {
    return print_json({{"model", options.model.folder},
                       {"steps", result.steps},
                       {"best_step", result.best_step},
                       {"stopped_early", result.stopped_early},
                       {"first_loss", result.first_loss},
                       {"last_loss", result.last_loss},
                       {"trained_values", values},
                       {"gradient_and_optimizer_bytes", trainer.optimizer().bytes()},
                       {"tokens", result.tokens},
                       {"seconds", result.seconds},
                       {"tokens_per_second", static_cast<double>(result.tokens) / result.seconds},
                       {"frozen_identical", result.certificate.holds()},
                       {"validation", validation_json(result.best_step, result.validation)},
                       {"validation_before", validation_json(0, result.validation_before)},
                       {"out", options.out},
                       {"file", result.file}});
  }
  fmt::print("{} steps on {} values, loss {:.4f} -> {:.4f}, {} tokens in {:.1f} s{}\n",
             result.steps, values, result.first_loss, result.last_loss, result.tokens,
             result.seconds, result.stopped_early ? ", stopped early" : "");
  if (options.patience > 0) fmt::print("weights of step {}\n", result.best_step);
  fmt::print("{} values outside of them are bit-identical to {}: {}\n",
             result.certificate.frozen_values, options.model.folder,
             (std::filesystem::path(options.out) / "certificate.json").string());
  print_validation(result);
  fmt::print("{}\n", result.file);
}

}  // namespace taskneuron::cli

#include "taskneuron/recipe/detect.h"

#include <fmt/format.h>

#include "cli/command.h"
#include "cli/provenance.h"

namespace taskneuron::cli {

namespace {

struct Options {
  CommonOptions common;
  ModelOptions model;
  DetectOptions detect;
};

double rate_of(const DetectedTask& task) { return static_cast<double>(task.tokens) / task.seconds; }

OutputJson task_json(const Session& session, const DetectedTask& task) {
  OutputJson json = model_json(session);
  json.update({{"tasks", {task.task}},
               {"split", task.split},
               {"examples", task.examples},
               {"truncated", task.truncated},
               {"tokens", task.tokens},
               {"seconds", task.seconds},
               {"tokens_per_second", rate_of(task)},
               {"batch_tokens", task.plan.limits.max_tokens},
               {"passes_at_a_time", task.plan.limits.workers},
               {"recomputed", task.plan.recompute},
               {"predicted_memory_bytes", task.plan.predicted},
               {"peak_memory_bytes", task.peak_memory_bytes},
               {"deltas", deltas_json(session.deltas())},
               {"out", task.out}});
  add_loss(json, task.loss);
  return json;
}

void run(const Options& options) {
  options.common.apply();
  options.detect.check();
  const Session session(options.model);
  const std::vector<DetectedTask> tasks = detect(session, options.detect);
  if (options.common.json) {
    OutputJson results = OutputJson::array();
    for (const DetectedTask& task : tasks) results.push_back(task_json(session, task));
    return print_json(results.size() == 1 ? results[0] : results);
  }
  Table table(
      {"task", "split", "examples", "loss ± 95%", "tokens", "seconds", "tokens/s", "scores"});
  for (const DetectedTask& task : tasks) {
    table.add({task.task, task.split, std::to_string(task.examples), loss_text(task.loss),
               std::to_string(task.tokens), fmt::format("{:.1f}", task.seconds),
               fmt::format("{:.0f}", rate_of(task)), task.out});
  }
  table.print();
}

}  // namespace

void add_detect(CLI::App& app) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      add_command(app, "detect", "Relevance of every FFN unit for a task, as a score file");
  add_options(*command, options->model, options->detect);
  options->common.add_to(*command);
  set_shared_run(
      *command,
      std::string(
          "Example:\n  taskneuron detect examples/models/mini --task examples/tasks/scitail \\\n"
          "    --out scitail.safetensors") +
          kTermsFooter,
      {&options->detect.output.out}, [options] { run(*options); });
}

}  // namespace taskneuron::cli

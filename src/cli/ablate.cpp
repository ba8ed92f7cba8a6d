#include <fmt/format.h>

#include <algorithm>

#include "cli/command.h"
#include "cli/variant.h"
#include "taskneuron/base/error.h"
#include "taskneuron/base/statistics.h"
#include "taskneuron/evaluate/evaluation.h"
#include "taskneuron/neuron/selection.h"

namespace taskneuron::cli {

namespace {

struct Options {
  CommonOptions common;
  ModelOptions model;
  DataOptions data;
  std::vector<std::string> scores;
  std::string top = "10%";
  std::string scope = "global";
  std::string mode = "activation";
  std::string random_kind = "matched";
  std::int64_t random_seeds = 5;
  std::uint64_t seed = 0;
  bool allow_other_weights = false;
};

// The set of one task and the random sets that it is compared with.
struct TaskSets {
  std::string task;
  NeuronSet own;
  std::vector<NeuronSet> random;
};

// What one evaluated task gave under everything that was switched off.
struct TaskRowsOfTable {
  TaskResult original;
  std::vector<TaskResult> off;     // by the task whose units were off
  std::vector<TaskResult> random;  // by seed, sized like the task's own set
};

TaskSets make_sets(const Options& options, const LoadedModel& model, const std::string& path) {
  const Scores scores = load_scores(path);
  TaskSets sets;
  sets.task = scores.info.task;
  sets.own = select_top(site_relevance(scores, {}, parse_aggregate(scores.info.aggregate)),
                        parse_percent(options.top), parse_scope(options.scope));
  sets.own.model_hash = scores.info.model_hash;
  require_fit(sets.own, model.checkpoint().config(), model.checkpoint().hash(),
              options.allow_other_weights ? OtherWeights::kAllow : OtherWeights::kRefuse, path);
  const RandomKind kind = parse_random_kind(options.random_kind);
  for (std::int64_t i = 0; i < options.random_seeds; ++i) {
    sets.random.push_back(random_set(sets.own, kind, options.seed + static_cast<std::uint64_t>(i)));
  }
  return sets;
}

const TaskSets& sets_of(const std::vector<TaskSets>& sets, const std::string& task) {
  for (const TaskSets& candidate : sets) {
    if (candidate.task == task) return candidate;
  }
  throw Error(
      fmt::format("no score file is of task '{}'; detect it first and name it in --scores", task));
}

std::vector<double> values(const std::vector<TaskResult>& results, double TaskResult::*field) {
  std::vector<double> list;
  for (const TaskResult& result : results) list.push_back(result.*field);
  return list;
}

void print_table(const std::vector<TaskRowsOfTable>& rows, const std::vector<TaskSets>& sets) {
  Table table({"task", "n", "metric", "units off", "value", "±", "loss", "±"});
  for (const TaskRowsOfTable& row : rows) {
    const auto add = [&](const std::string& what, double value, double spread, double loss,
                         const std::string& loss_spread) {
      table.add({row.original.task, std::to_string(row.original.examples), row.original.metric,
                 what, fmt::format("{:.4f}", value), fmt::format("{:.4f}", spread),
                 fmt::format("{:.4f}", loss), loss_spread});
    };
    add("none (original)", row.original.value, row.original.standard_error, row.original.loss, "");
    const auto random_values = values(row.random, &TaskResult::value);
    const auto random_losses = values(row.random, &TaskResult::loss);
    add(fmt::format("random, {} seeds", row.random.size()), mean(random_values),
        standard_deviation(random_values), mean(random_losses),
        fmt::format("{:.4f}", standard_deviation(random_losses)));
    for (std::size_t i = 0; i < sets.size(); ++i) {
      const bool own = sets[i].task == row.original.task;
      add(own ? "its own" : "of " + sets[i].task, row.off[i].value, row.off[i].standard_error,
          row.off[i].loss, "");
    }
  }
  table.print();
}

OutputJson result_json(const TaskResult& result) {
  return {{"value", result.value}, {"stderr", result.standard_error}, {"loss", result.loss}};
}

OutputJson results_json(const std::vector<TaskRowsOfTable>& rows, const std::vector<TaskSets>& sets,
                        std::uint64_t first_seed) {
  OutputJson list = OutputJson::array();
  for (const TaskRowsOfTable& row : rows) {
    OutputJson entry = {{"task", row.original.task},
                        {"split", row.original.split},
                        {"metric", row.original.metric},
                        {"examples", row.original.examples},
                        {"truncated", row.original.truncated}};
    entry["units_off"] = sets_of(sets, row.original.task).own.size();
    entry["original"] = result_json(row.original);
    for (std::size_t i = 0; i < row.random.size(); ++i) {
      OutputJson random = result_json(row.random[i]);
      random["seed"] = first_seed + i;
      entry["random"].push_back(random);
    }
    for (std::size_t i = 0; i < sets.size(); ++i) {
      entry["off"][sets[i].task] = result_json(row.off[i]);
    }
    list.push_back(entry);
  }
  return list;
}

TaskRowsOfTable ablate_task(const Options& options, const LoadedModel& model,
                            const TaskEvaluation& evaluation, const std::string& task,
                            const std::vector<TaskSets>& sets) {
  const Mode mode = parse_mode(options.mode);
  const TaskSets& own = sets_of(sets, task);
  const auto runs = static_cast<std::int64_t>(1 + sets.size() + own.random.size());
  Progress bar(fmt::format("ablate {}", task), runs * evaluation.examples());
  const BatchLimits limits =
      options.data.fit(model.checkpoint(), model.decoder(), evaluation.demand()).limits;
  const auto evaluate = [&](const Variant& variant) {
    return evaluation.run(
        *variant.decoder, *variant.hook, limits,
        [&](std::int64_t examples, std::int64_t tokens) { bar.advance(examples, tokens); });
  };
  TaskRowsOfTable rows;
  rows.original = evaluate(original_variant(model));
  for (const TaskSets& other : sets) {
    rows.off.push_back(evaluate(set_variant(model, other.own, mode, other.task)));
  }
  for (const NeuronSet& random : own.random) {
    rows.random.push_back(evaluate(set_variant(model, random, mode, "random")));
  }
  return rows;
}

void run(const Options& options) {
  options.common.apply();
  parse_mode(options.mode);
  parse_random_kind(options.random_kind);
  const PromptTemplate prompt = find_template(options.data, options.model.folder);
  const LoadedModel model(options.model);
  const ExampleEncoder encoder(model.tokenizer(), prompt, model.encoder_options(options.data));
  std::vector<TaskSets> sets;
  for (const std::string& path : options.scores) sets.push_back(make_sets(options, model, path));
  std::vector<TaskRowsOfTable> rows;
  for (const std::string& folder : options.data.tasks) {
    const Task task = load_task(folder);
    const TaskEvaluation evaluation(task, options.data.split,
                                    load_split(task, options.data.split, options.data.limit),
                                    encoder, {});
    note_truncated(task.name, evaluation.truncated(), evaluation.examples());
    blame_weights(model.checkpoint(), [&] {
      rows.push_back(ablate_task(options, model, evaluation, task.name, sets));
    });
  }
  if (!options.common.json) return print_table(rows, sets);
  print_json({{"model", model.folder()},
              {"model_hash", model.checkpoint().hash()},
              {"top", options.top},
              {"scope", options.scope},
              {"mode", options.mode},
              {"random_kind", options.random_kind},
              {"results", results_json(rows, sets, options.seed)}});
}

}  // namespace

void add_ablate(CLI::App& app) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand(
      "ablate", "Switch off the units of tasks, and random ones, and see what each task loses");
  options->model.add_to(*command);
  options->data.add_to(*command, "test");
  command->add_option("--scores", options->scores, "Score files of the tasks, made by detect")
      ->required();
  command->add_option("--top", options->top, "Share of the units, in percent")
      ->capture_default_str();
  command->add_option("--scope", options->scope, "global: of all units; layer: of each layer's")
      ->capture_default_str();
  command->add_option("--mode", options->mode, kModeHelp)->capture_default_str();
  command->add_option("--random-seeds", options->random_seeds, "How many random sets")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command
      ->add_option("--random-kind", options->random_kind,
                   "matched: as many per layer as the task's set; uniform: anywhere")
      ->capture_default_str();
  command->add_option("--seed", options->seed, "Seed of the first random set")
      ->capture_default_str();
  command->add_flag("--allow-other-weights", options->allow_other_weights,
                    "Use scores that were made for other weights of the same shape");
  options->common.add_to(*command);
  command->footer(
      "Example:\n  taskneuron ablate examples/models/mini --task examples/tasks/scitail \\\n"
      "    --scores scitail.safetensors --top 10%");
  command->callback([options] { run(*options); });
}

}  // namespace taskneuron::cli

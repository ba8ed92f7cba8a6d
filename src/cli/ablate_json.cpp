// What `ablate --json` prints (docs/formats/results.md).
#include <tuple>

#include "cli/ablate.h"
#include "cli/contrast_output.h"
#include "cli/provenance.h"
#include "taskneuron/base/statistics.h"

namespace taskneuron::cli {

namespace {

OutputJson measurement_json(const Measurement& row) {
  OutputJson json = {{"value", row.value}, {"stderr", row.standard_error}, {"loss", row.loss}};
  if (row.labels) {
    json["balanced_accuracy"] = row.labels->balanced_accuracy;
    json["label_loss"] = row.labels->loss;
  }
  return json;
}

OutputJson random_json(const DeactivatedTask& task, const Condition& condition, std::size_t number,
                       std::uint64_t seed) {
  const TaskSets& sets = (*condition.sets)[task.own];
  OutputJson json = OutputJson::array();
  for (const auto& [kind, random] : task.conditions[number].random) {
    for (std::size_t i = 0; i < random.by_draw.size(); ++i) {
      const NeuronSet& set = sets.random.at(kind)[i];
      OutputJson row = measurement_json(random.by_draw[i]);
      row["kind"] = random_kind_name(kind);
      row["seed"] = seed;
      row["draw"] = i;
      row["units"] = set.size();
      row["units_in_common"] = units_in_common(sets.own, set);
      json.push_back(row);
    }
  }
  return json;
}

OutputJson task_json(const DeactivatedTask& task, const Condition& condition, std::size_t number,
                     std::uint64_t seed) {
  const ConditionRows& rows = task.conditions[number];
  OutputJson entry = {{"task", task.task},
                      {"split", task.split},
                      {"type", task.type},
                      {"metric", task.metric.name},
                      {"examples", task.examples},
                      {"truncated", task.truncated},
                      {"top", condition.top},
                      {"scope", condition.scope},
                      {"mode", condition.mode_name},
                      {"units_off", (*condition.sets)[task.own].own.size()},
                      {"original", measurement_json(task.original)}};
  if (task.original.labels) entry["majority"] = task.original.labels->majority;
  entry["random"] = random_json(task, condition, number, seed);
  for (const auto& [kind, random] : rows.random) {
    entry["own_minus_random"][random_kind_name(kind)] =
        contrasts_json(random.own_minus_random, task.metric, Expected::kWorse);
  }
  for (std::size_t i = 0; i < rows.off.size(); ++i) {
    if (rows.off[i]) entry["off"][(*condition.sets)[i].task] = measurement_json(*rows.off[i]);
  }
  entry["own_minus_original"] =
      contrasts_json(rows.own_minus_original, task.metric, Expected::kWorse);
  return entry;
}

OutputJson average_json(const AverageRows& average, const Condition& condition) {
  OutputJson entry = {{"metric", average.metric.name},
                      {"tasks", average.tasks},
                      {"top", condition.top},
                      {"scope", condition.scope},
                      {"mode", condition.mode_name},
                      {"original", {{"value", average.original}, {"loss", average.original_loss}}},
                      {"own", {{"value", average.own}, {"loss", average.own_loss}}}};
  for (const auto& [kind, random] : average.random) {
    const char* name = random_kind_name(kind);
    entry["random"][name] = {{"value", random.value},
                             {"value_sd", random.value_deviation},
                             {"loss", random.loss},
                             {"loss_sd", random.loss_deviation}};
    entry["own_minus_random"][name] =
        contrasts_json(random.own_minus_random, average.metric, Expected::kWorse);
  }
  entry["own_minus_original"] =
      contrasts_json(average.own_minus_original, average.metric, Expected::kWorse);
  return entry;
}

}  // namespace

OutputJson ablation_json(const AblateResult& found) {
  const auto& [conditions, tasks, seed] = std::tie(found.conditions, found.tasks, found.seed);
  OutputJson results = OutputJson::array(), averages = OutputJson::array(),
             matrices = OutputJson::array(), perplexity = OutputJson::array();
  for (std::size_t c = 0; c < conditions.size(); ++c) {
    for (const DeactivatedTask& task : tasks) {
      results.push_back(task_json(task, conditions[c], c, seed));
    }
    for (const AverageRows& average : average_rows(tasks, c, seed)) {
      averages.push_back(average_json(average, conditions[c]));
    }
    if (const auto matrix = cross_matrix(tasks, *conditions[c].sets, c, seed)) {
      OutputJson names = OutputJson::array();
      for (const DeactivatedTask& task : tasks) names.push_back(task.task);
      matrices.push_back({{"top", conditions[c].top},
                          {"scope", conditions[c].scope},
                          {"mode", conditions[c].mode_name},
                          {"tasks", names},
                          {"value_change", matrix->value},
                          {"loss_change", matrix->loss},
                          {"value_test", test_json(matrix->value_test)},
                          {"loss_test", test_json(matrix->loss_test)}});
    }
    if (found.side_effects.empty()) continue;
    OutputJson off = OutputJson::array();
    for (const SideEffect& effect : found.side_effects[c]) {
      OutputJson entry = {{"task", effect.task}, {"own", effect.own}};
      for (const auto& [kind, random] : effect.random) {
        entry["random"][random_kind_name(kind)] = random;
      }
      off.push_back(entry);
    }
    perplexity.push_back({{"top", conditions[c].top},
                          {"scope", conditions[c].scope},
                          {"mode", conditions[c].mode_name},
                          {"tokens", found.text_tokens},
                          {"original", found.text_perplexity},
                          {"off", off}});
  }
  OutputJson json = {{"results", results}, {"averages", averages}, {"cross_matrices", matrices}};
  if (!found.side_effects.empty()) json["perplexity"] = perplexity;
  for (const auto& [a, b] : agreeing(conditions)) {
    const Agreement agreed = agreement(tasks, a, b);
    json["agreement"].push_back({{"top", conditions[a].top},
                                 {"largest_loss_difference", agreed.largest_loss_difference},
                                 {"different_scores", agreed.different_scores},
                                 {"examples", agreed.examples}});
  }
  json["warnings"] = warnings_json(found.warnings);
  return json;
}

}  // namespace taskneuron::cli

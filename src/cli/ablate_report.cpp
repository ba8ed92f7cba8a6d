// What `ablate` prints: tables for people, JSON for programs.
#include <fmt/format.h>

#include "cli/ablate.h"
#include "taskneuron/base/statistics.h"

namespace taskneuron::cli {

namespace {

std::string p_value(double p) {
  return p < 0.001 ? fmt::format("{:.1e}", p) : fmt::format("{:.3f}", p);
}

std::string interval(const BootstrapResult& result) {
  return fmt::format("{:+.4f} ({:+.4f}, {:+.4f})", result.difference, result.low, result.high);
}

std::vector<double> values(const std::vector<Measurement>& rows, double Measurement::*field) {
  std::vector<double> list;
  for (const Measurement& row : rows) list.push_back(row.*field);
  return list;
}

std::string random_name(RandomKind kind, std::size_t seeds) {
  return fmt::format("random ({}), {} seeds", random_kind_name(kind), seeds);
}

void add_task(Table& table, const DeactivatedTask& task, std::size_t condition) {
  const auto row = [&](const std::string& what, double value, double spread, double loss,
                       const std::string& contrast, const std::string& p) {
    table.add({task.task, std::to_string(task.examples), task.metric, what,
               fmt::format("{:.4f}", value), fmt::format("{:.4f}", spread),
               fmt::format("{:.4f}", loss), contrast, p});
  };
  const ConditionRows& rows = task.conditions[condition];
  row("none (original)", task.original.value, task.original.standard_error, task.original.loss, "",
      "");
  for (const auto& [kind, random] : rows.random) {
    const auto list = values(random.by_seed, &Measurement::value);
    const BootstrapResult& contrast = random.own_minus_random.value;
    row(random_name(kind, random.by_seed.size()), mean(list), standard_deviation(list),
        mean(values(random.by_seed, &Measurement::loss)), interval(contrast), p_value(contrast.p));
  }
  const Measurement& own = task.own_off(condition);
  row("its own", own.value, own.standard_error, own.loss, "", "");
}

void add_average(Table& table, const AverageRows& average, std::size_t seeds) {
  const std::string name = fmt::format("mean of {}", average.tasks);
  const auto row = [&](const std::string& what, double value, const std::string& spread,
                       double loss, const std::string& contrast, const std::string& p) {
    table.add({name, "", average.metric, what, fmt::format("{:.4f}", value), spread,
               fmt::format("{:.4f}", loss), contrast, p});
  };
  row("none (original)", average.original, "", average.original_loss, "", "");
  for (const auto& [kind, random] : average.random) {
    const BootstrapResult& contrast = random.own_minus_random.value;
    row(random_name(kind, seeds), random.value, fmt::format("{:.4f}", random.value_deviation),
        random.loss, interval(contrast), p_value(contrast.p));
  }
  row("its own", average.own, "", average.own_loss, "", "");
}

void print_matrix(const std::vector<DeactivatedTask>& tasks,
                  const std::vector<std::vector<double>>& matrix, const DiagonalTest& test,
                  const std::string& what) {
  std::vector<std::string> header = {fmt::format("units off \\ {}", what)};
  for (const DeactivatedTask& task : tasks) header.push_back(task.task);
  Table table(header);
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    std::vector<std::string> row = {tasks[i].task};
    for (const double value : matrix[i]) row.push_back(fmt::format("{:+.4f}", value));
    table.add(row);
  }
  fmt::print("\n");
  table.print();
  fmt::print("diagonal above the rest: {:.3f} standard deviations, p = {} ({} {} row orders)\n",
             test.statistic, p_value(test.p), test.exact ? "all" : "random", test.orders);
}

OutputJson measurement_json(const Measurement& row) {
  return {{"value", row.value}, {"stderr", row.standard_error}, {"loss", row.loss}};
}

OutputJson bootstrap_json(const BootstrapResult& result) {
  return {{"difference", result.difference},
          {"low", result.low},
          {"high", result.high},
          {"p", result.p}};
}

OutputJson contrast_json(const Contrast& contrast) {
  return {{"value", bootstrap_json(contrast.value)}, {"loss", bootstrap_json(contrast.loss)}};
}

OutputJson test_json(const DiagonalTest& test) {
  return {
      {"statistic", test.statistic}, {"p", test.p}, {"orders", test.orders}, {"exact", test.exact}};
}

OutputJson task_json(const DeactivatedTask& task, const Condition& condition, std::size_t number,
                     std::uint64_t first_seed) {
  const ConditionRows& rows = task.conditions[number];
  OutputJson entry = {{"task", task.task},
                      {"split", task.split},
                      {"metric", task.metric},
                      {"examples", task.examples},
                      {"truncated", task.truncated},
                      {"top", condition.top},
                      {"mode", condition.mode_name},
                      {"units_off", (*condition.sets)[task.own].own.size()},
                      {"original", measurement_json(task.original)}};
  entry["random"] = OutputJson::array();
  for (const auto& [kind, random] : rows.random) {
    for (std::size_t i = 0; i < random.by_seed.size(); ++i) {
      OutputJson row = measurement_json(random.by_seed[i]);
      row["kind"] = random_kind_name(kind);
      row["seed"] = first_seed + i;
      entry["random"].push_back(row);
    }
    entry["own_minus_random"][random_kind_name(kind)] = contrast_json(random.own_minus_random);
  }
  for (std::size_t i = 0; i < rows.off.size(); ++i) {
    if (rows.off[i]) entry["off"][(*condition.sets)[i].task] = measurement_json(*rows.off[i]);
  }
  entry["own_minus_original"] = contrast_json(rows.own_minus_original);
  return entry;
}

OutputJson average_json(const AverageRows& average, const Condition& condition) {
  OutputJson entry = {{"metric", average.metric},
                      {"tasks", average.tasks},
                      {"top", condition.top},
                      {"mode", condition.mode_name},
                      {"original", {{"value", average.original}, {"loss", average.original_loss}}},
                      {"own", {{"value", average.own}, {"loss", average.own_loss}}}};
  for (const auto& [kind, random] : average.random) {
    const char* name = random_kind_name(kind);
    entry["random"][name] = {{"value", random.value},
                             {"value_sd", random.value_deviation},
                             {"loss", random.loss},
                             {"loss_sd", random.loss_deviation}};
    entry["own_minus_random"][name] = contrast_json(random.own_minus_random);
  }
  return entry;
}

// Two modes that are one function, at every dose where both were run.
std::vector<std::pair<std::size_t, std::size_t>> agreeing(
    const std::vector<Condition>& conditions) {
  std::vector<std::pair<std::size_t, std::size_t>> pairs;
  for (std::size_t a = 0; a < conditions.size(); ++a) {
    for (std::size_t b = 0; b < conditions.size(); ++b) {
      if (conditions[a].sets == conditions[b].sets && conditions[a].mode_name == "activation" &&
          conditions[b].mode_name == "parameter") {
        pairs.emplace_back(a, b);
      }
    }
  }
  return pairs;
}

}  // namespace

void AblateReport::print() const {
  for (std::size_t c = 0; c < conditions.size(); ++c) {
    if (c > 0) fmt::print("\n");
    fmt::print("top {}, {}\n", conditions[c].top, conditions[c].mode_name);
    Table table(
        {"task", "n", "metric", "units off", "value", "±", "loss", "its own − random (95%)", "p"});
    for (const DeactivatedTask& task : tasks) add_task(table, task, c);
    for (const AverageRows& average : average_rows(tasks, c, first_seed)) {
      const auto& random = tasks.front().conditions[c].random;
      if (average.tasks > 1) {
        add_average(table, average, random.begin()->second.by_seed.size());
      }
    }
    table.print();
    fmt::print("±: standard error over examples; of random sets, standard deviation over seeds\n");
    if (const auto matrix = cross_matrix(tasks, *conditions[c].sets, c, first_seed)) {
      print_matrix(tasks, matrix->value, matrix->value_test, "change of metric");
      print_matrix(tasks, matrix->loss, matrix->loss_test, "change of loss");
    }
    if (side_effects.empty()) continue;
    Table text({"units off", "perplexity", "random", "±"});
    text.add({"none (original)", fmt::format("{:.3f}", text_perplexity)});
    for (const SideEffect& effect : side_effects[c]) {
      for (const auto& [kind, random] : effect.random) {
        text.add({"of " + effect.task, fmt::format("{:.3f}", effect.own),
                  fmt::format("{:.3f}", mean(random)),
                  fmt::format("{:.3f} {}", standard_deviation(random), random_kind_name(kind))});
      }
    }
    fmt::print("\nside effect on {} tokens of unrelated text\n", text_tokens);
    text.print();
  }
  for (const auto& [a, b] : agreeing(conditions)) {
    const Agreement found = agreement(tasks, a, b);
    fmt::print(
        "\nactivation and parameter at {}: losses differ by at most {:.2g} nats, {} of {} "
        "examples score differently\n",
        conditions[a].top, found.largest_loss_difference, found.different_scores, found.examples);
  }
}

OutputJson AblateReport::json() const {
  OutputJson results = OutputJson::array(), averages = OutputJson::array(),
             matrices = OutputJson::array(), perplexity = OutputJson::array();
  for (std::size_t c = 0; c < conditions.size(); ++c) {
    for (const DeactivatedTask& task : tasks) {
      results.push_back(task_json(task, conditions[c], c, first_seed));
    }
    for (const AverageRows& average : average_rows(tasks, c, first_seed)) {
      averages.push_back(average_json(average, conditions[c]));
    }
    if (const auto matrix = cross_matrix(tasks, *conditions[c].sets, c, first_seed)) {
      OutputJson names = OutputJson::array();
      for (const DeactivatedTask& task : tasks) names.push_back(task.task);
      matrices.push_back({{"top", conditions[c].top},
                          {"mode", conditions[c].mode_name},
                          {"tasks", names},
                          {"value_change", matrix->value},
                          {"loss_change", matrix->loss},
                          {"value_test", test_json(matrix->value_test)},
                          {"loss_test", test_json(matrix->loss_test)}});
    }
    if (side_effects.empty()) continue;
    OutputJson off = OutputJson::array();
    for (const SideEffect& effect : side_effects[c]) {
      OutputJson entry = {{"task", effect.task}, {"own", effect.own}};
      for (const auto& [kind, random] : effect.random) {
        entry["random"][random_kind_name(kind)] = random;
      }
      off.push_back(entry);
    }
    perplexity.push_back({{"top", conditions[c].top},
                          {"mode", conditions[c].mode_name},
                          {"tokens", text_tokens},
                          {"original", text_perplexity},
                          {"off", off}});
  }
  OutputJson json = {{"results", results}, {"averages", averages}, {"cross_matrices", matrices}};
  if (!side_effects.empty()) json["perplexity"] = perplexity;
  for (const auto& [a, b] : agreeing(conditions)) {
    const Agreement found = agreement(tasks, a, b);
    json["agreement"].push_back({{"top", conditions[a].top},
                                 {"largest_loss_difference", found.largest_loss_difference},
                                 {"different_scores", found.different_scores},
                                 {"examples", found.examples}});
  }
  return json;
}

}  // namespace taskneuron::cli

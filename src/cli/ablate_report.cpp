// The tables that `ablate` prints for people.
#include <fmt/format.h>

#include <tuple>

#include "cli/ablate.h"
#include "cli/command.h"
#include "cli/contrast_output.h"
#include "cli/provenance.h"
#include "taskneuron/base/statistics.h"

namespace taskneuron::cli {

namespace {

std::string random_name(RandomKind kind, std::size_t sets) {
  return fmt::format("random ({}), {} set{}", random_kind_name(kind), sets, sets == 1 ? "" : "s");
}

// Mean share of the task's own units in its random sets.
double share_in_common(const TaskSets& sets, RandomKind kind) {
  double sum = 0;
  for (const NeuronSet& set : sets.random.at(kind)) {
    sum += static_cast<double>(units_in_common(sets.own, set));
  }
  return sum / static_cast<double>(sets.own.size()) /
         static_cast<double>(sets.random.at(kind).size());
}

std::vector<double> values(const std::vector<Measurement>& rows, double Measurement::*field) {
  std::vector<double> list;
  for (const Measurement& row : rows) list.push_back(row.*field);
  return list;
}

std::string label_mean(const std::vector<Measurement>& rows, double LabelMetrics::*field) {
  if (!rows.front().labels) return "";
  std::vector<double> list;
  for (const Measurement& row : rows) list.push_back((*row.labels).*field);
  return fmt::format("{:.4f}", mean(list));
}

class RowTable {
 public:
  void add(const std::string& task, const std::string& examples, const std::string& metric) {
    first_ = {task, examples, metric};
  }
  void row(const std::string& what, double value, const std::string& spread,
           const std::string& loss, const std::string& balanced, const std::string& label_loss,
           const std::string& common) {
    std::vector<std::string> cells = first_;
    for (const std::string& cell :
         {what, fmt::format("{:.4f}", value), spread, loss, balanced, label_loss, common}) {
      cells.push_back(cell);
    }
    table_.add(cells);
  }
  void row(const std::string& what, const Measurement& measured) {
    row(what, measured.value, fmt::format("{:.4f}", measured.standard_error),
        fmt::format("{:.4f}", measured.loss),
        label_mean({measured}, &LabelMetrics::balanced_accuracy),
        label_mean({measured}, &LabelMetrics::loss), "");
  }
  void print() const { table_.print(); }

 private:
  std::vector<std::string> first_;
  Table table_ = Table({"task", "n", "metric", "units off", "value", "±", "loss", "balanced",
                        "label loss", "in common"});
};

void add_task(RowTable& table, const DeactivatedTask& task, std::size_t number,
              const Condition& condition) {
  table.add(task.task, std::to_string(task.examples), task.metric.name);
  if (task.original.labels) {
    table.row("(commonest label)", task.original.labels->majority, "", "", "", "", "");
  }
  table.row("none (original)", task.original);
  for (const auto& [kind, random] : task.conditions[number].random) {
    const std::vector<double> list = values(random.by_draw, &Measurement::value);
    table.row(random_name(kind, random.by_draw.size()), mean(list),
              fmt::format("{:.4f}", standard_deviation(list)),
              fmt::format("{:.4f}", mean(values(random.by_draw, &Measurement::loss))),
              label_mean(random.by_draw, &LabelMetrics::balanced_accuracy),
              label_mean(random.by_draw, &LabelMetrics::loss),
              fmt::format("{:.0f}%", 100 * share_in_common((*condition.sets)[task.own], kind)));
  }
  table.row("its own", task.own_off(number));
}

void add_average(RowTable& table, const AverageRows& average, std::size_t sets) {
  table.add(fmt::format("mean of {}", average.tasks), "", average.metric.name);
  const auto loss = [](double value) { return fmt::format("{:.4f}", value); };
  table.row("none (original)", average.original, "", loss(average.original_loss), "", "", "");
  for (const auto& [kind, random] : average.random) {
    table.row(random_name(kind, sets), random.value, fmt::format("{:.4f}", random.value_deviation),
              loss(random.loss), "", "", "");
  }
  table.row("its own", average.own, "", loss(average.own_loss), "", "", "");
}

void print_contrasts(const AblateResult& found, std::size_t number,
                     const std::vector<AverageRows>& averages) {
  ContrastTable table(Expected::kWorse, "own matters");
  const auto add = [&](const std::string& task, const Metric& metric, const auto& rows) {
    table.add(task, metric, "original", rows.own_minus_original);
    for (const auto& [kind, random] : rows.random) {
      table.add(task, metric, random_kind_name(kind), random.own_minus_random);
    }
  };
  for (const DeactivatedTask& task : found.tasks) {
    add(task.task, task.metric, task.conditions[number]);
  }
  for (const AverageRows& average : averages) {
    if (average.tasks > 1) add(fmt::format("mean of {}", average.tasks), average.metric, average);
  }
  fmt::print("\n");
  table.print();
}

std::vector<std::string> names_of(const std::vector<DeactivatedTask>& tasks) {
  std::vector<std::string> names;
  for (const DeactivatedTask& task : tasks) names.push_back(task.task);
  return names;
}

void print_side_effects(const AblateResult& found, std::size_t number) {
  Table text({"units off", "perplexity", "random", "±"});
  text.add({"none (original)", fmt::format("{:.3f}", found.text_perplexity)});
  for (const SideEffect& effect : found.side_effects[number]) {
    for (const auto& [kind, random] : effect.random) {
      text.add({"of " + effect.task, fmt::format("{:.3f}", effect.own),
                fmt::format("{:.3f}", mean(random)),
                fmt::format("{:.3f} {}", standard_deviation(random), random_kind_name(kind))});
    }
  }
  fmt::print("\nside effect on {} tokens of unrelated text\n", found.text_tokens);
  text.print();
}

}  // namespace

void print_ablation(const AblateResult& found) {
  const auto& [conditions, tasks, seed] = std::tie(found.conditions, found.tasks, found.seed);
  for (std::size_t c = 0; c < conditions.size(); ++c) {
    if (c > 0) fmt::print("\n");
    fmt::print("top {}, scope {}, {}\n", conditions[c].top, conditions[c].scope,
               conditions[c].mode_name);
    RowTable table;
    for (const DeactivatedTask& task : tasks) add_task(table, task, c, conditions[c]);
    const std::vector<AverageRows> averages = average_rows(tasks, c, seed);
    for (const AverageRows& average : averages) {
      const auto& random = tasks.front().conditions[c].random;
      if (average.tasks > 1) {
        add_average(table, average, random.begin()->second.by_draw.size());
      }
    }
    table.print();
    fmt::print(
        "±: standard error over examples; of random sets, standard deviation over sets; in common: "
        "share of its own\nunits that a random set holds; balanced, label loss: accuracy averaged "
        "over labels, −log p(right label | the labels)\n");
    print_contrasts(found, c, averages);
    if (const auto matrix = cross_matrix(tasks, *conditions[c].sets, c, seed)) {
      print_matrix(names_of(tasks), matrix->value, matrix->value_test,
                   {"units off", "change of metric"});
      print_matrix(names_of(tasks), matrix->loss, matrix->loss_test,
                   {"units off", "change of loss"});
    }
    if (!found.side_effects.empty()) print_side_effects(found, c);
  }
  for (const auto& [a, b] : agreeing(conditions)) {
    const Agreement agreed = agreement(tasks, a, b);
    fmt::print(
        "\nactivation and parameter at {}: losses differ by at most {:.2g} nats, {} of {} "
        "examples score differently\n",
        conditions[a].top, agreed.largest_loss_difference, agreed.different_scores,
        agreed.examples);
  }
  print_warnings(found.warnings);
}

}  // namespace taskneuron::cli

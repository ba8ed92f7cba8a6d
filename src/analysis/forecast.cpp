#include "taskneuron/analysis/forecast.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include "analysis/ridge.h"
#include "base/check.h"
#include "base/orders_within.h"
#include "base/variance.h"
#include "taskneuron/base/distributions.h"
#include "taskneuron/base/error.h"
#include "taskneuron/base/random.h"
#include "taskneuron/base/statistics.h"

namespace taskneuron {

namespace {

using Tasks = std::vector<std::size_t>;
using Maybe = std::optional<double>;

constexpr std::size_t kFewestTasks = 4;

// A table of some of the tasks, relabelled: entry (i, j) is the table's (tasks[i], tasks[j]).
TaskTable relabelled(const TaskTable& table, const Tasks& tasks) {
  TaskTable result(tasks.size(), std::vector<Maybe>(tasks.size()));
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    for (std::size_t j = 0; j < tasks.size(); ++j) {
      if (i != j) result[i][j] = table[tasks[i]][tasks[j]];
    }
  }
  return result;
}

TaskTable mean_of(const std::vector<TaskTable>& tables) {
  TaskTable result = tables.front();
  for (std::size_t i = 0; i < result.size(); ++i) {
    for (std::size_t j = 0; j < result.size(); ++j) {
      if (i == j) continue;
      double sum = 0;
      for (const TaskTable& table : tables) sum += table[i][j].value_or(0);
      result[i][j] = sum / static_cast<double>(tables.size());
    }
  }
  return result;
}

// Mean of the other entries in the row, or in the column, of each entry.
enum class Along { kRow, kColumn };
TaskTable mean_of_others(const TaskTable& table, Along along) {
  TaskTable result(table.size(), std::vector<Maybe>(table.size()));
  for (std::size_t i = 0; i < table.size(); ++i) {
    for (std::size_t j = 0; j < table.size(); ++j) {
      std::vector<double> others;
      for (std::size_t k = 0; k < table.size(); ++k) {
        if (k == i || k == j) continue;
        const Maybe& entry = along == Along::kRow ? table[i][k] : table[k][j];
        if (entry) others.push_back(*entry);
      }
      if (i != j && !others.empty()) result[i][j] = mean(others);
    }
  }
  return result;
}

// What one predictor says of some of the tasks (their measured table as it is, their predictors
// relabelled by `labels`), standardised within targets.
using Evaluate = std::function<TaskTable(const Tasks& tasks, const Tasks& labels)>;

struct Entries {
  std::vector<double> forecast, measured;
};

Entries entries_of(const TaskTable& forecast, const TaskTable& measured) {
  Entries entries;
  for (std::size_t i = 0; i < measured.size(); ++i) {
    for (std::size_t j = 0; j < measured.size(); ++j) {
      if (i == j || !measured[i][j] || !forecast[i][j]) continue;
      entries.forecast.push_back(*forecast[i][j]);
      entries.measured.push_back(*measured[i][j]);
    }
  }
  return entries;
}

Maybe spearman_of(const Entries& entries) {
  if (static_cast<std::int64_t>(entries.measured.size()) < kPointsToCorrelate) return std::nullopt;
  const double value = spearman(entries.forecast, entries.measured);
  return std::isfinite(value) ? Maybe(value) : std::nullopt;
}

// Of the 95% interval of what has these values with each task left out (Tukey's jackknife).
double jackknife_half_width(const std::vector<double>& without) {
  const auto n = static_cast<double>(without.size());
  return student_t_quantile(1 - kAlpha / 2, n - 1) * standard_deviation(without) * (n - 1) /
         std::sqrt(n);
}

// Weights that were fitted have chosen their sign: that they foresee is a claim of one side. Where
// there is nothing to foresee, cross-validated forecasts lie below 0, for what an entry has more of
// the others have less of.
enum class Sides { kTwo, kUpper };

class Scorer {
 public:
  explicit Scorer(const ForecastRequest& request) : request_(request) {}

  Tasks all() const {
    Tasks tasks(request_.tasks.size());
    std::iota(tasks.begin(), tasks.end(), std::size_t{0});
    return tasks;
  }

  ForecastScore score(const std::string& name, const std::string& kind, const Evaluate& evaluate,
                      Sides sides = Sides::kTwo) const {
    ForecastScore result;
    result.name = name;
    result.kind = kind;
    const TaskTable foreseen = evaluate(all(), all());
    if (kind == "combined") result.foreseen = foreseen;
    const Entries entries = entries_of(foreseen, measured(all()));
    result.entries = static_cast<std::int64_t>(entries.measured.size());
    result.value = spearman_of(entries);
    if (!result.value) {
      result.no_value = "constant within every target";
      result.no_interval = result.no_value;
      return result;
    }
    jackknife(evaluate, result);
    if (kind != "baseline" || reads_no_measurement(name)) {
      result.permutation = permute(evaluate, *result.value, sides);
    }
    return result;
  }
  TaskTable measured(const Tasks& tasks) const {
    return within_targets(relabelled(request_.measured, tasks));
  }

 private:
  bool reads_no_measurement(const std::string& name) const {
    return std::any_of(request_.predictors.begin(), request_.predictors.end(),
                       [&](const ForecastPredictor& one) { return one.name == name; });
  }
  Maybe value_of(const Evaluate& evaluate, const Tasks& tasks, const Tasks& labels) const {
    return spearman_of(entries_of(evaluate(tasks, labels), measured(tasks)));
  }
  // A task at a time is left out, with its row and column.
  void jackknife(const Evaluate& evaluate, ForecastScore& result) const {
    for (const std::size_t left_out : all()) {
      Tasks tasks = all();
      tasks.erase(tasks.begin() + static_cast<std::ptrdiff_t>(left_out));
      const Maybe value = value_of(evaluate, tasks, tasks);
      if (!value) {
        result.no_interval = fmt::format("undefined without {}", request_.tasks[left_out]);
        result.without.clear();
        return;
      }
      result.without.push_back(*value);
    }
    const double most = 1 - 1e-9;
    const auto scale = [&](double value) { return std::atanh(std::clamp(value, -most, most)); };
    std::vector<double> values;
    for (const double value : result.without) values.push_back(scale(value));
    const double half = jackknife_half_width(values), center = scale(*result.value);
    result.interval = Interval{std::tanh(center - half), std::tanh(center + half)};
  }
  Randomisation permute(const Evaluate& evaluate, double observed, Sides sides) const {
    const auto extremeness = [sides](double value) {
      return sides == Sides::kTwo ? std::abs(value) : value;
    };
    const double reached = extremeness(observed) - 1e-9;
    Randomisation test;
    std::int64_t count = 0;
    const auto take = [&](const Tasks& labels) {
      const double value = value_of(evaluate, all(), labels).value_or(0);
      count += extremeness(value) >= reached ? 1 : 0;
      ++test.orders;
    };
    const std::vector<std::string> one_type(request_.tasks.size());
    const OrdersWithin orders(request_.types.empty() ? one_type : request_.types);
    test.exact = orders.count() <= static_cast<double>(request_.all_orders);
    if (test.exact) {
      orders.for_each(take);
    } else {
      Random random(request_.seed, "labels of a forecast");
      Tasks labels = all();
      while (test.orders < request_.draws) {
        orders.shuffle(labels, random);
        take(labels);
      }
    }
    conclude(test, count);
    return test;
  }

  const ForecastRequest& request_;
};

std::vector<const TaskTable*> joining(const ForecastRequest& request) {
  std::vector<const TaskTable*> tables;
  for (const ForecastPredictor& predictor : request.predictors) {
    if (predictor.joins) tables.push_back(&predictor.values);
  }
  return tables;
}

void require_tables(const ForecastRequest& request) {
  const std::size_t tasks = request.tasks.size();
  if (tasks < kFewestTasks) {
    throw Error(
        fmt::format("{} tasks; a forecast is scored over at least {}", tasks, kFewestTasks));
  }
  const auto require_size = [&](const TaskTable& table, const std::string& what) {
    const bool fits =
        table.size() == tasks && std::all_of(table.begin(), table.end(),
                                             [&](const auto& row) { return row.size() == tasks; });
    if (!fits) throw Error(fmt::format("{}: expected a table of {} by {}", what, tasks, tasks));
  };
  if (!request.types.empty() && request.types.size() != tasks) {
    throw Error(fmt::format("{} types for {} tasks", request.types.size(), tasks));
  }
  require_size(request.measured, "measured changes");
  for (const ForecastPredictor& one : request.predictors) require_size(one.values, one.name);
}

// Spearman of values as they are.
Maybe pooled_value(const TaskTable& values, const TaskTable& measured) {
  return spearman_of(entries_of(values, measured));
}

void score_combined(const ForecastRequest& request, const Scorer& scorer, Forecast& result) {
  const std::vector<const TaskTable*> tables = joining(request);
  if (tables.empty()) return;
  const auto standardised = [tables](const Tasks& labels) {
    std::vector<TaskTable> all;
    for (const TaskTable* table : tables) all.push_back(within_targets(relabelled(*table, labels)));
    return all;
  };
  result.scores.push_back(
      scorer.score("average", "combined", [&](const Tasks&, const Tasks& labels) {
        return within_targets(mean_of(standardised(labels)));
      }));
  result.scores.push_back(scorer.score(
      "ridge", "combined",
      [&](const Tasks& tasks, const Tasks& labels) {
        return within_targets(
            cross_validated_ridge(standardised(labels), relabelled(request.measured, tasks)));
      },
      Sides::kUpper));
  // Of four tasks but two are left to fit to: each target has one source, which stands alone.
  ForecastScore& ridge = result.scores.back();
  if (!ridge.value && request.tasks.size() <= kFewestTasks) {
    ridge.no_value = ridge.no_interval =
        fmt::format("fitted without two tasks, it needs {} in all", kFewestTasks + 1);
  }
  const std::vector<double> weights =
      ridge_weights(standardised(scorer.all()), scorer.measured(scorer.all()));
  for (const ForecastPredictor& one : request.predictors) {
    if (one.joins)
      result.ridge_weights.emplace_back(one.name, weights[result.ridge_weights.size()]);
  }
}

void score_baselines(const ForecastRequest& request, const Scorer& scorer, Forecast& result) {
  result.scores.push_back(
      scorer.score("source mean", "baseline", [&](const Tasks& tasks, const Tasks&) {
        return within_targets(mean_of_others(scorer.measured(tasks), Along::kRow));
      }));
  result.scores.back().pooled =
      pooled_value(mean_of_others(request.measured, Along::kRow), request.measured);
  // Within a target its mean says nothing of which source helps: left to the pooled scale.
  ForecastScore& target = result.scores.emplace_back();
  target.name = "target mean";
  target.kind = "baseline";
  target.no_value = target.no_interval = "the same for all sources of a target";
  target.pooled = pooled_value(mean_of_others(request.measured, Along::kColumn), request.measured);
}

ForecastComparison compare(const ForecastScore& score, const ForecastScore& against) {
  ForecastComparison result{score.name, against.name, *score.value - *against.value, {}, {}};
  if (score.without.empty() || against.without.empty()) {
    result.no_interval = score.without.empty() ? score.no_interval : against.no_interval;
    return result;
  }
  std::vector<double> without;
  for (std::size_t t = 0; t < score.without.size(); ++t) {
    without.push_back(score.without[t] - against.without[t]);
  }
  const double half = jackknife_half_width(without);
  result.interval =
      Interval{std::max(-2.0, result.difference - half), std::min(2.0, result.difference + half)};
  return result;
}

void compare_with_yardsticks(const ForecastRequest& request, Forecast& result) {
  const auto predictor = [&](const std::string& name) {
    return std::find_if(request.predictors.begin(), request.predictors.end(),
                        [&](const ForecastPredictor& one) { return one.name == name; });
  };
  const auto end = request.predictors.end();
  for (const ForecastScore& score : result.scores) {
    const bool combined = score.kind == "combined";
    const auto own = predictor(score.name);
    if (!combined && (own == end || !own->is_compared)) continue;
    for (const ForecastScore& against : result.scores) {
      const auto yardstick = predictor(against.name);
      const bool is_one = yardstick != end ? yardstick->is_yardstick && yardstick != own
                                           : combined && against.name == "source mean";
      if (is_one && score.value && against.value) {
        result.comparisons.push_back(compare(score, against));
      }
    }
  }
}

}  // namespace

Forecast forecast(const ForecastRequest& request) {
  require_tables(request);
  const Scorer scorer(request);
  Forecast result;
  result.tasks = request.tasks;
  const TaskTable measured = scorer.measured(scorer.all());
  for (std::size_t j = 0; j < request.tasks.size(); ++j) {
    const bool any = std::any_of(measured.begin(), measured.end(),
                                 [&](const auto& row) { return row[j].has_value(); });
    if (!any) result.constant_targets.push_back(request.tasks[j]);
  }
  if (result.constant_targets.size() == request.tasks.size()) {
    throw Error("no target has two changes that differ; nothing to foresee");
  }
  for (const ForecastPredictor& one : request.predictors) {
    result.scores.push_back(
        scorer.score(one.name, one.joins || one.is_compared ? "predictor" : "baseline",
                     [&](const Tasks&, const Tasks& labels) {
                       return filled(within_targets(relabelled(one.values, labels)));
                     }));
    result.scores.back().pooled = pooled_value(one.values, request.measured);
  }
  score_combined(request, scorer, result);
  score_baselines(request, scorer, result);
  compare_with_yardsticks(request, result);
  return result;
}

}  // namespace taskneuron

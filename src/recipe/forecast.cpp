#include "taskneuron/recipe/forecast.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <set>

#include "base/json.h"
#include "taskneuron/base/error.h"

namespace taskneuron {

void ForecastOptions::declare(OptionList& list) {
  list.add("affinity", &affinity, Effect::kInput,
           "What the command affinity wrote, or tables of one's own (docs/formats/affinity.md)")
      .positional()
      .required();
  list.add(
          "measured", &measured, Effect::kInput,
          "JSON {\"tasks\": [...], \"matrix\": [[change of task j after training on task i]]}, and "
          "\"types\": [...] where only tasks of one type may be relabelled")
      .positional()
      .required();
  list.add("lower_is_better", &lower_is_better, Effect::kResult,
           "Changes are of a loss: a negative one is help");
  list.add("draws", &draws, Effect::kResult,
           "Relabellings of the tasks, where there are too many for all")
      .between(99, 1000000);
  list.add("seed", &seed, Effect::kResult, "Seed of those");
}

namespace {

std::vector<std::string> read_tasks(const JsonView& view) {
  std::vector<std::string> tasks = view.at("tasks").strings();
  std::set<std::string> seen;
  for (const std::string& task : tasks) {
    if (!seen.insert(task).second) {
      view.at("tasks").fail(fmt::format("'{}' stands there twice", task));
    }
  }
  return tasks;
}

// A number or null for every pair of so many tasks.
TaskTable read_matrix(const JsonView& matrix, std::size_t tasks, double sign = 1) {
  TaskTable table;
  for (const JsonView& row : matrix.array()) {
    auto& values = table.emplace_back();
    for (const JsonView& entry : row.array()) {
      values.push_back(entry.value().is_null() ? std::nullopt
                                               : std::optional(sign * entry.number()));
    }
    if (values.size() != tasks) {
      row.fail(fmt::format("{} entries for {} tasks", values.size(), tasks));
    }
  }
  if (table.size() != tasks) {
    matrix.fail(fmt::format("{} rows for {} tasks", table.size(), tasks));
  }
  return table;
}

struct Measured {
  std::vector<std::string> tasks;
  std::vector<std::string> types;  // may be empty
  TaskTable matrix;
};

Measured read_measured(const ForecastOptions& options) {
  const Json json = read_json(options.measured);
  const JsonView view(json, options.measured);
  const std::vector<std::string> tasks = read_tasks(view);
  const double sign = options.lower_is_better ? -1 : 1;
  const auto types = view.find("types");
  Measured found{tasks, {}, read_matrix(view.at("matrix"), tasks.size(), sign)};
  if (!types) return found;
  found.types = types->strings();
  if (found.types.size() != tasks.size()) {
    types->fail(fmt::format("{} types for {} tasks", found.types.size(), tasks.size()));
  }
  return found;
}

// Pairs of an affinity file by source and target, and the tasks' label counts.
class AffinityFile {
 public:
  AffinityFile(const JsonView& view, const std::string& path) : path_(path) {
    for (const JsonView& task : view.at("tasks").array()) {
      const std::int64_t labels = task.at("labels").integer();
      if (labels < 0) task.at("labels").fail("is below 0");
      labels_[task.at("task").string()] = labels;
    }
    for (const JsonView& pair : view.at("pairs").array()) {
      pairs_.insert({{pair.at("source").string(), pair.at("target").string()}, pair});
    }
  }

  // value: of a pair, or null.
  using Value = std::function<std::optional<double>(const JsonView& pair)>;
  TaskTable table(const std::vector<std::string>& tasks, const Value& value) const {
    return filled_with(tasks, [&](const std::string& source, const std::string& target) {
      const auto found = pairs_.find({source, target});
      if (found == pairs_.end()) {
        throw Error(fmt::format("{}: has no pair of '{}' and '{}', which the measured matrix has",
                                path_, source, target));
      }
      return value(found->second);
    });
  }
  // How alike label sets are in size; generation counts as none.
  TaskTable label_sizes(const std::vector<std::string>& tasks) const {
    return filled_with(tasks, [&](const std::string& source, const std::string& target) {
      const auto size = [&](const std::string& task) {
        return std::log2(1 + static_cast<double>(labels_.at(task)));
      };
      return std::optional<double>(-std::abs(size(source) - size(target)));
    });
  }

 private:
  template <typename Entry>
  TaskTable filled_with(const std::vector<std::string>& tasks, const Entry& entry) const {
    TaskTable result(tasks.size(), std::vector<std::optional<double>>(tasks.size()));
    for (std::size_t i = 0; i < tasks.size(); ++i) {
      if (labels_.count(tasks[i]) == 0) {
        throw Error(
            fmt::format("{}: knows no task '{}', which the measured matrix has", path_, tasks[i]));
      }
    }
    for (std::size_t i = 0; i < tasks.size(); ++i) {
      for (std::size_t j = 0; j < tasks.size(); ++j) {
        if (i != j) result[i][j] = entry(tasks[i], tasks[j]);
      }
    }
    return result;
  }

  std::string path_;
  std::map<std::string, std::int64_t> labels_;
  std::map<std::pair<std::string, std::string>, JsonView> pairs_;
};

AffinityFile::Value number_at(const std::string& key) {
  return [key](const JsonView& pair) -> std::optional<double> {
    const std::optional<JsonView> found = pair.find(key);
    return found ? std::optional(found->number()) : std::nullopt;
  };
}

AffinityFile::Value cosine_at(const std::string& key) {
  return [key](const JsonView& pair) { return number_at("cosine")(pair.at(key)); };
}

std::vector<ForecastPredictor> affinity_predictors(const AffinityFile& affinity,
                                                   const std::vector<std::string>& tasks) {
  return {
      {"overlap", affinity.table(tasks, number_at("jaccard")), true, true},
      {"signed relevance", affinity.table(tasks, number_at("signed_cosine"))},
      {"gradient cosine", affinity.table(tasks, cosine_at("gradient"))},
      {"own-unit gradient cosine", affinity.table(tasks, cosine_at("own_gradient"))},
      {"label-set size", affinity.label_sizes(tasks), false, true},
  };
}

// Tables of one's own, in the order of `tasks`. Each is scored by itself, and against those that
// the file calls yardsticks.
std::vector<ForecastPredictor> table_predictors(const JsonView& view,
                                                const std::vector<std::string>& tasks) {
  const std::vector<std::string> known = read_tasks(view);
  std::vector<std::size_t> place;
  for (const std::string& task : tasks) {
    const auto found = std::find(known.begin(), known.end(), task);
    if (found == known.end()) {
      view.at("tasks").fail(fmt::format("no task '{}', which the measured matrix has", task));
    }
    place.push_back(static_cast<std::size_t>(found - known.begin()));
  }
  std::vector<ForecastPredictor> predictors;
  for (const JsonView& table : view.at("tables").array()) {
    const TaskTable all = read_matrix(table.at("matrix"), known.size());
    ForecastPredictor& one = predictors.emplace_back();
    one.name = table.at("name").string();
    if (std::any_of(predictors.begin(), predictors.end() - 1,
                    [&](const ForecastPredictor& other) { return other.name == one.name; })) {
      table.at("name").fail(fmt::format("'{}' stands there twice", one.name));
    }
    one.joins = false;
    one.is_compared = true;
    one.values.assign(tasks.size(), std::vector<std::optional<double>>(tasks.size()));
    for (std::size_t i = 0; i < tasks.size(); ++i) {
      for (std::size_t j = 0; j < tasks.size(); ++j) {
        if (i != j) one.values[i][j] = all[place[i]][place[j]];
      }
    }
  }
  if (predictors.empty()) view.at("tables").fail("holds no table");
  const auto yardsticks = view.find("yardsticks");
  for (const std::string& name : yardsticks ? yardsticks->strings() : std::vector<std::string>()) {
    const auto found = std::find_if(predictors.begin(), predictors.end(),
                                    [&](const ForecastPredictor& one) { return one.name == name; });
    if (found == predictors.end()) yardsticks->fail(fmt::format("there is no table '{}'", name));
    found->is_yardstick = true;
  }
  return predictors;
}

std::vector<ForecastPredictor> read_predictors(const std::string& path,
                                               const std::vector<std::string>& tasks) {
  const Json json = read_json(path);
  const JsonView view(json, path);
  const std::string format = view.at("format").string();
  if (format == "taskneuron.tables/1") return table_predictors(view, tasks);
  if (format == "taskneuron.affinity/1") {
    return affinity_predictors(AffinityFile(view, path), tasks);
  }
  view.fail(fmt::format("has format '{}', expected taskneuron.affinity/1 or taskneuron.tables/1",
                        format));
}

}  // namespace

Forecast forecast_from_files(const ForecastOptions& options) {
  check_declared(options);
  Measured measured = read_measured(options);
  ForecastRequest request;
  request.predictors = read_predictors(options.affinity, measured.tasks);
  request.tasks = std::move(measured.tasks);
  request.types = std::move(measured.types);
  request.measured = std::move(measured.matrix);
  request.draws = options.draws;
  request.seed = options.seed;
  try {
    return forecast(request);
  } catch (const UsageError&) {
    throw;
  } catch (const Error& error) {
    throw Error(fmt::format("{}: {}", options.measured, error.what()));
  }
}

}  // namespace taskneuron

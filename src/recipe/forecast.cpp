#include "taskneuron/recipe/forecast.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>

#include "base/json.h"
#include "taskneuron/base/error.h"

namespace taskneuron {

void ForecastOptions::declare(OptionList& list) {
  list.add("affinity", &affinity, Effect::kInput, "What the command affinity wrote")
      .positional()
      .required();
  list.add("measured", &measured, Effect::kInput,
           "JSON {\"tasks\": [...], \"matrix\": [[change of task j after training on task i]]}")
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

struct Measured {
  std::vector<std::string> tasks;
  TaskTable matrix;
};

Measured read_measured(const ForecastOptions& options) {
  const Json json = read_json(options.measured);
  const JsonView view(json, options.measured);
  Measured result;
  result.tasks = view.at("tasks").strings();
  for (std::size_t i = 0; i < result.tasks.size(); ++i) {
    if (std::count(result.tasks.begin(), result.tasks.end(), result.tasks[i]) > 1) {
      view.at("tasks").fail(fmt::format("'{}' stands there twice", result.tasks[i]));
    }
  }
  const double sign = options.lower_is_better ? -1 : 1;
  for (const JsonView& row : view.at("matrix").array()) {
    auto& values = result.matrix.emplace_back();
    for (const JsonView& entry : row.array()) {
      if (entry.value().is_null()) {
        values.emplace_back();
      } else {
        values.emplace_back(sign * entry.number());
      }
    }
    if (values.size() != result.tasks.size()) {
      row.fail(fmt::format("{} entries for {} tasks", values.size(), result.tasks.size()));
    }
  }
  if (result.matrix.size() != result.tasks.size()) {
    view.at("matrix").fail(
        fmt::format("{} rows for {} tasks", result.matrix.size(), result.tasks.size()));
  }
  return result;
}

// Pairs of an affinity file by source and target, and the tasks' label counts.
class AffinityFile {
 public:
  explicit AffinityFile(const std::string& path) : path_(path), json_(read_json(path)) {
    const JsonView view(json_, path);
    const std::string format = view.at("format").string();
    if (format != "taskneuron.affinity/1") {
      view.fail(fmt::format("has format '{}', expected taskneuron.affinity/1", format));
    }
    for (const JsonView& task : view.at("tasks").array()) {
      labels_[task.at("task").string()] = task.at("labels").integer();
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
  Json json_;
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

}  // namespace

Forecast forecast_from_files(const ForecastOptions& options) {
  check_declared(options);
  const AffinityFile affinity(options.affinity);
  Measured measured = read_measured(options);
  ForecastRequest request;
  const std::vector<std::string>& tasks = measured.tasks;
  request.predictors = {
      {"overlap", affinity.table(tasks, number_at("jaccard")), true, true},
      {"signed relevance", affinity.table(tasks, number_at("signed_cosine"))},
      {"gradient cosine", affinity.table(tasks, cosine_at("gradient"))},
      {"own-unit gradient cosine", affinity.table(tasks, cosine_at("own_gradient"))},
      {"label-set size", affinity.label_sizes(tasks), false, true},
  };
  request.tasks = tasks;
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

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "taskneuron/base/correlation.h"

namespace taskneuron {

// How well something known before training foresees which tasks help or hurt each other when they
// are trained (method, "Forecast"). Every table is [source][target]; its diagonal is not looked at.
using TaskTable = std::vector<std::vector<std::optional<double>>>;

struct ForecastPredictor {
  std::string name;
  TaskTable values;  // large where training on the source should help the target
  // Whether `average` and `ridge` are made of it too; baselines stand beside.
  bool joins = true;
  // Whether what is compared must show that it does better than this one: combined forecasts,
  // and predictors that say so of themselves.
  bool is_yardstick = false;
  bool is_compared = false;
};

struct ForecastRequest {
  std::vector<std::string> tasks;
  TaskTable measured;  // change of the target after training on the source, larger is better
  std::vector<ForecastPredictor> predictors;
  std::uint64_t seed = 0;
  // Relabellings of tasks: all are tried where there are at most all_orders, else so many drawn.
  std::int64_t all_orders = 5040;
  std::int64_t draws = 2000;
  // Of the tasks, where they are of several: only tasks of one type are relabelled, or all that
  // goes with types would go with what is measured. Empty: all are of one.
  std::vector<std::string> types = {};
};

// Of one predictor.
struct ForecastScore {
  std::string name;
  std::string kind;  // predictor, combined or baseline
  std::int64_t entries = 0;
  // Spearman, both sides standardised within each target: does it tell the sources of a target
  // apart?
  std::optional<double> value;
  std::string no_value;
  std::optional<Interval> interval;  // jackknife over tasks, on Fisher's scale
  std::string no_interval;
  std::vector<double> without;  // the value with each task left out; empty where one has none
  // Over relabellings of the tasks (Mantel; QAP): two-sided, of `ridge` one-sided. None for
  // baselines that read the measured changes of other entries.
  std::optional<Randomisation> permutation;
  // Spearman of the values as they are: differences between targets count too.
  std::optional<double> pooled;
  TaskTable foreseen;  // of combined forecasts: in standard deviations of a target, 0 its mean
};

// How much better a forecast is than a yardstick, and a combined one than the source mean.
struct ForecastComparison {
  std::string name;
  std::string against;
  double difference = 0;             // of the two values
  std::optional<Interval> interval;  // jackknife over tasks
  std::string no_interval;
};

struct Forecast {
  std::vector<std::string> tasks;
  std::vector<std::string> constant_targets;  // whose measured changes are all alike: left out
  std::vector<ForecastScore> scores;
  std::vector<ForecastComparison> comparisons;
  // Of the fit to everything, by joining predictor; for other models, not for these entries.
  std::vector<std::pair<std::string, double>> ridge_weights;
};

// Scores every predictor; `average`, the mean of those that join, standardised within targets,
// which needs no measured entry; `ridge`, their weighted sum, where an entry is forecast by weights
// fitted to the entries of all tasks but its two; and the baselines `source mean` and `target
// mean`, means of the other measured entries in the entry's row and column. Throws Error for fewer
// than four tasks, or a table of another size.
Forecast forecast(const ForecastRequest& request);

}  // namespace taskneuron

#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "taskneuron/analysis/deactivation.h"
#include "taskneuron/base/trainings.h"

namespace taskneuron {

// Question 2 of the method: how training more or fewer of the units changes what a model can do on
// the tasks that it was trained on (specialization) and on others (generalization).

enum class Arm {
  kOwn,     // the most relevant units of each task
  kRandom,  // as many, with the same layer profile
};
const char* arm_name(Arm arm);  // "own", "random"

enum class Company {
  kTogether,  // one model, trained on all tasks, each task's steps update its own units
  kAlone,     // a model for each task
};
const char* company_name(Company company);  // "together", "alone"
// Throws UsageError for another name.
Company parse_company(const std::string& name);

// One task's evaluation.
struct SweptTask {
  std::string task;
  bool trained = false;  // among the tasks that the sweep trains
  Metric metric;
  Measurement measured;
};

// One model of a sweep, evaluated on all its tasks.
struct SweptModel {
  Company company = Company::kTogether;
  std::string trained_on;  // the task, of kAlone
  Arm arm = Arm::kOwn;
  std::size_t top = 0;  // which of the sweep's tops; at 100% both arms are one
  std::int64_t seed = 0;
  std::vector<SweptTask> tasks;
};

// What is averaged over which tasks.
enum class Quantity {
  kSpecialization,  // tasks that were trained
  kGeneralization,  // other tasks
  kMean,            // of these two
};
const char* quantity_name(Quantity quantity);  // "specialization", "generalization", "mean"

// Which numbers a curve is of.
struct CurveKey {
  Company company = Company::kTogether;
  Quantity quantity = Quantity::kSpecialization;
  Metric metric;         // tasks of this metric
  bool of_loss = false;  // their loss instead
  Better better() const { return of_loss ? Better::kLower : metric.better; }
};

struct SweepCurve {
  CurveKey key;
  Arm arm = Arm::kOwn;
  std::int64_t seeds = 0;
  double base = 0;               // the model before training
  std::vector<Contrast> points;  // by top: `difference` is the mean
  Best best;
};

// Own minus random at each top; nothing where all units are trained, or an arm was left out. Of one
// training each, models of single tasks are compared over these tasks; others not at all.
struct SweepDifference {
  CurveKey key;
  std::vector<std::optional<Contrast>> points;  // corrected over the tops
};

struct SweepCurves {
  std::vector<SweepCurve> curves;
  std::vector<SweepDifference> differences;
};

// base: every task of the models, evaluated before training. all_units: the top at which all are
// trained. Throws Error where a model is missing that others of its curve need, naming it.
SweepCurves sweep_curves(const std::vector<std::string>& tops, std::optional<std::size_t> all_units,
                         const std::vector<SweptModel>& models, const std::vector<SweptTask>& base);

// One model of overlap-controlled training (paper A.7): as many units as a test task's own set has,
// a share of them its own, the rest from outside it.
struct OverlapModel {
  std::size_t top = 0;
  std::size_t share = 0;  // which of the shares
  std::int64_t seed = 0;
  SweptTask test;
  double real_share = 0;  // where a layer had too few units outside
};

struct OverlapCurve {
  std::size_t top = 0;
  Metric metric;
  bool of_loss = false;
  std::int64_t seeds = 0;
  std::vector<double> shares;    // real ones, means over tasks
  std::vector<Contrast> points;  // by share: means over test tasks
  // Least squares: change for a share that grows by 1. Of one training each, over the test tasks.
  // Nothing where the layers left room for one share alone, whatever was asked for.
  std::optional<Contrast> slope;
};

// Slopes are corrected over the tops, each metric and measure for itself.
std::vector<OverlapCurve> overlap_curves(std::size_t tops, std::size_t shares,
                                         const std::vector<OverlapModel>& models);

}  // namespace taskneuron

#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "taskneuron/analysis/sweep.h"
#include "taskneuron/recipe/session.h"
#include "taskneuron/recipe/train.h"

namespace taskneuron {

// The proportion study (method, "Question 2"): units of tasks trained at several shares, together
// and one task at a time, beside as many random ones, each model evaluated on the trained and on
// other tasks. Everything lies in a folder of its own (docs/formats/sweep.md); a sweep that was
// killed goes on with what is missing.
struct SweepOptions : OptimizerOptions {
  DataOptions data;  // of the tasks that are trained; `limit` is of their train rows
  std::vector<std::string> other_tasks;
  std::string out;
  bool keep_models = false;
  // What is trained.
  std::vector<std::string> tops = {"10%", "30%", "50%", "70%", "100%"};
  std::vector<std::string> arms = {"own", "random"};
  std::vector<std::string> trained = {"together", "alone"};
  std::int64_t seeds = 3;
  std::int64_t alone_seeds = 0;  // 0: as `seeds`
  std::uint64_t seed = 0;
  // Which units are a task's own.
  std::vector<std::string> scores;
  std::int64_t detect_limit = 300;
  std::string scope = "global";
  std::string site = "act";
  // How.
  std::vector<std::string> rates = {"1e-4", "3e-4", "1e-3"};
  std::int64_t tune_limit = 300;
  std::int64_t tune_validation = 100;
  double epochs = 3;
  std::int64_t batch = 16;
  // How it is measured.
  std::int64_t test_limit = 0;
  std::int64_t generate_limit = 150;
  // Overlap-controlled training.
  bool overlap_control = false;
  std::vector<std::string> overlap_tasks;  // names; empty: all
  std::vector<std::string> overlap_tops = {"10%", "30%", "50%"};
  std::vector<std::string> shares = {"0", "0.25", "0.5", "0.75", "1"};
  std::int64_t overlap_seeds = 1;
  SweepOptions() { data.split = "train"; }
  void declare(OptionList& list);
  // Throws what is known to be wrong before a model is opened.
  void check() const;
};

// The learning rate of one way of training, chosen on validation rows.
struct TunedRate {
  Company company = Company::kTogether;
  std::string trained_on;  // of kAlone
  Arm arm = Arm::kOwn;
  std::string top;
  double rate = 0;
  std::map<double, double> losses;  // by rate; infinite where training diverged
  bool at_edge = false;             // the grid would have had to grow on
};

struct SweepResult {
  std::vector<std::string> tops;
  std::vector<TunedRate> rates;  // empty where there was one to choose from
  std::vector<SweptTask> base;
  std::vector<SweptModel> models;
  SweepCurves curves;
  std::vector<std::string> overlap_tops;
  std::vector<OverlapModel> overlap_models;
  std::vector<OverlapCurve> overlap;
  std::int64_t trainings = 0;  // of all that the result is made of, tuning left out
  double seconds = 0;          // that they took, evaluations included, over all starts
};

// Throws as train() and evaluate() do; Interrupted, saying how to go on, once a signal asks for it.
SweepResult sweep(const Session& session, const SweepOptions& options);

}  // namespace taskneuron

#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "taskneuron/continual/summary.h"
#include "taskneuron/recipe/session.h"
#include "taskneuron/recipe/train.h"

namespace taskneuron {

// Continual learning (method, "Question 3"): every method on every order of tasks, from every seed,
// in one folder (docs/formats/continual.md). Stages that agree in everything that their weights
// depend on are trained once, whichever method, order or call asks for them; a run that was killed
// goes on with what is missing.
struct ContinualOptions : OptimizerOptions {
  DataOptions data;  // `limit` is of train rows, tasks are the orders'
  std::vector<std::string> orders;
  std::vector<std::string> task_folders;  // where tasks named in orders are
  std::vector<std::string> methods;       // MethodSpec texts
  std::string out;
  std::int64_t seeds = 1;
  std::uint64_t seed = 0;
  // What methods leave open.
  double learning_rate = 1e-4;
  double epochs = 3;
  std::int64_t batch = 16;
  // How units are found, and tasks told apart.
  std::int64_t detect_limit = 300;
  std::int64_t feature_rows = 1000;
  // How it is measured.
  std::string test_split = "test";
  std::int64_t test_limit = 0;
  std::int64_t generate_limit = 150;
  std::string unseen = "next";
  double checkpoint_seconds = 60;  // of the training of a stage
  bool no_single = false;
  ContinualOptions() { data.split = "train"; }
  void declare(OptionList& list);
  // Throws what is known to be wrong before a model is opened.
  void check() const;
};

// What a stage cost and left.
struct StageCost {
  std::string task;
  std::string folder;            // of the stage, below `out`
  double detection_seconds = 0;  // finding units
  double training_seconds = 0;
  double memory_seconds = 0;  // forming what is remembered
  std::int64_t steps = 0;
  std::int64_t tokens = 0;  // of training
  std::int64_t trained_values = 0;
  // Of all that the method must keep of the task beside the model, as long as the stream goes on:
  // changes, adapters, sets, features, rows.
  std::int64_t stored_bytes = 0;
  // The same of what it keeps once, for all tasks so far: memory, relevance, one adapter.
  std::int64_t shared_bytes = 0;
  // While it trained, beyond the mapped weights; what the method holds from before included.
  std::int64_t peak_memory_bytes = 0;
  std::int64_t units = 0;          // that were trained; 0: not by units
  std::int64_t claimed_units = 0;  // of them, that earlier stages had trained
};

struct StreamRun {
  std::string method;  // as it was asked for
  std::string order;   // its name
  std::uint64_t seed = 0;
  std::map<std::string, Setting> settings;  // of the method, all that it reads
  std::map<std::string, std::string> rows;  // by task: hash of those that train and that test
  StreamResults results;
  StreamMetrics metrics;
  std::vector<StageCost> stages;
  std::string diverged;  // why the stream stopped; empty: it did not
};

struct ContinualResult {
  // What all runs share beside their methods' settings: model, rows, optimizer, how it is tested.
  std::map<std::string, Setting> settings;
  std::vector<StreamRun> runs;
  std::vector<std::string> methods;  // in the order in which they were asked for
  StreamSummary summary;             // of the runs whose metrics are known
  std::int64_t trained = 0;          // stages that this call trained
};

// Throws as train() and evaluate() do; Interrupted, saying how to go on, once a signal asks for it.
ContinualResult continual(const Session& session, const ContinualOptions& options);

}  // namespace taskneuron

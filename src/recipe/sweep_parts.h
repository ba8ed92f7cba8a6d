#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/folder_lock.h"
#include "recipe/prediction_files.h"
#include "taskneuron/neuron/ranking.h"
#include "taskneuron/recipe/sweep.h"
#include "taskneuron/recipe/train.h"

namespace taskneuron {

// A task of a sweep.
struct SweepTask {
  std::string name;
  std::string folder;
  TaskType type = TaskType::kClassification;
  bool trained = false;
};

// The tasks in the order of the options, trained ones first. Throws Error for a name that is there
// twice.
std::vector<SweepTask> sweep_tasks(const SweepOptions& options);

// What `trained` and `arm` name. Throw UsageError for what there is not.
std::vector<Company> companies_of(const SweepOptions& options);
std::vector<Arm> arms_of(const SweepOptions& options);

// Whether a task is tested in overlap-controlled training.
bool tests_overlap(const SweepOptions& options, const std::string& task);

// The sweep's folder: makes it and its sweep.json, or finds that it holds this very sweep. Throws
// Error when it holds another one (naming what differs), or something else. What may grow from call
// to call is no part of that: tops, arms, seeds, which models.
FolderLock open_sweep_folder(const Session& session, const SweepOptions& options,
                             const std::vector<SweepTask>& tasks);

// The sets of a sweep's tasks, as files in its folder.
class SweepSets {
 public:
  // Reads the score files of all tasks, or detects what is missing. Throws Error for scores of
  // another model.
  SweepSets(const Session& session, const SweepOptions& options,
            const std::vector<SweepTask>& tasks, const std::filesystem::path& folder);

  std::string own(const std::string& task, const std::string& top) const;
  // As many units as the task's own set has, with its layer profile.
  std::string random(const std::string& task, const std::string& top, std::int64_t draw) const;
  // The same with a share of the task's own; `real_share` is what the layers allowed.
  std::string mixed(const std::string& task, const std::string& top, const std::string& share,
                    std::int64_t draw, double& real_share) const;

 private:
  const NeuronSet& own_set(const std::string& task, const std::string& top) const;
  std::string written(const std::string& name, const NeuronSet& set) const;

  const SweepOptions& options_;
  std::filesystem::path folder_;
  std::string model_hash_;
  std::map<std::string, Ranking> rankings_;
  mutable std::map<std::string, NeuronSet> own_;
};

// One training with its evaluation.
struct SweepCell {
  std::string name;  // of its folder
  std::vector<std::string> tasks;
  std::vector<std::string> sets;  // one for each task, or one for all
  std::string rate;
  std::int64_t seed = 0;
  std::vector<std::string> evaluated;  // tasks
};

// Trains and evaluates cells; one that is done is read instead.
class SweepCells {
 public:
  SweepCells(const Session& session, const SweepOptions& options,
             const std::vector<SweepTask>& tasks, std::filesystem::path folder);

  std::vector<SweptTask> run(const SweepCell& cell);
  // The model before training, on all tasks.
  std::vector<SweptTask> base();
  // Mean validation loss after an epoch on a few rows; infinite where training diverged.
  double tuning_loss(const SweepCell& cell);

  double seconds() const { return seconds_; }
  // Cells that run() did not find done.
  std::size_t made() const { return made_; }

 private:
  TrainOptions train_options(const SweepCell& cell) const;
  std::string train(const SweepCell& cell, const std::filesystem::path& at);
  std::vector<std::string> evaluate_all(const Session& session,
                                        const std::vector<std::string>& tasks,
                                        const std::filesystem::path& at);
  std::vector<std::string> evaluated_tasks(const SweepCell& cell) const;
  std::int64_t test_rows(const SweepTask& task);
  std::vector<SweptTask> read(const SweepCell& cell, const std::vector<std::string>& files);
  const SweepTask& task(const std::string& name) const;

  const Session& session_;
  const SweepOptions& options_;
  const std::vector<SweepTask>& tasks_;
  std::filesystem::path folder_;
  std::map<std::string, std::int64_t> test_rows_;
  double seconds_ = 0;  // of all cells that were asked for
  std::size_t made_ = 0;
};

// The learning rates of a sweep. Own and random sides are tried at the same rates; a grid whose end
// is best grows on that side, for both.
class SweepRates {
 public:
  SweepRates(SweepCells& cells, const SweepSets& sets, const SweepOptions& options,
             const std::vector<SweepTask>& tasks, const std::filesystem::path& folder);

  // As it is written on a command line.
  std::string rate(Company company, const std::string& trained_on, Arm arm, const std::string& top);
  // All that were chosen, in the order in which they were asked for.
  const std::vector<TunedRate>& chosen() const { return chosen_; }

 private:
  void tune(Company company, const std::string& trained_on, const std::string& top);
  double loss(Company company, const std::string& trained_on, Arm arm, const std::string& top,
              double rate);

  SweepCells& cells_;
  const SweepSets& sets_;
  const SweepOptions& options_;
  const std::vector<SweepTask>& tasks_;
  std::filesystem::path folder_;
  std::vector<TunedRate> chosen_;
};

// The cell of one model of the sweep. rate: "" until it is known.
SweepCell sweep_cell(const SweepSets& sets, const std::vector<SweepTask>& tasks,
                     const SweptModel& model, const std::string& top);

// Draws of random sets that no model is compared with.
constexpr std::int64_t kTuningDraw = -1;

}  // namespace taskneuron

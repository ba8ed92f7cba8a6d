#include "taskneuron/recipe/sweep.h"

#include <fmt/format.h>

#include <chrono>

#include "base/elapsed.h"
#include "recipe/blame.h"
#include "recipe/sweep_parts.h"
#include "taskneuron/base/error.h"
#include "taskneuron/base/interruption.h"
#include "taskneuron/base/progress.h"
#include "taskneuron/neuron/selection.h"

namespace taskneuron {

namespace fs = std::filesystem;

namespace {

// All that a sweep does, in its order.
class Sweep {
 public:
  Sweep(const Session& session, const SweepOptions& options)
      : options_(options),
        tasks_(sweep_tasks(options)),
        folder_(options.out),
        lock_(open_sweep_folder(session, options, tasks_)),
        sets_(session, options, tasks_, folder_),
        cells_(session, options, tasks_, folder_),
        rates_(cells_, sets_, options, tasks_, folder_) {}

  SweepResult run();

 private:
  // A model that is still to be trained.
  struct Planned {
    SweptModel model;
    std::size_t share = 0;  // of overlap-controlled training
    std::string test;       // its test task; empty: a model of the sweep proper
  };
  std::vector<Planned> plan() const;
  void plan_company(Company company, std::vector<Planned>& planned) const;
  void run_model(const Planned& planned);
  void run_overlap(const Planned& planned);
  std::optional<std::size_t> all_units() const;

  const SweepOptions& options_;
  std::vector<SweepTask> tasks_;
  fs::path folder_;
  FolderLock lock_;
  SweepSets sets_;
  SweepCells cells_;
  SweepRates rates_;
  SweepResult found_;
};

// The last top, as they ascend.
std::optional<std::size_t> Sweep::all_units() const {
  if (parse_percent(options_.tops.back()) == 100) return options_.tops.size() - 1;
  return std::nullopt;
}

void Sweep::plan_company(Company company, std::vector<Planned>& planned) const {
  std::vector<std::string> models = {""};
  std::int64_t seeds = options_.seeds;
  if (company == Company::kAlone) {
    models.clear();
    for (const SweepTask& task : tasks_) {
      if (task.trained) models.push_back(task.name);
    }
    if (options_.alone_seeds > 0) seeds = options_.alone_seeds;
  }
  for (std::int64_t seed = 0; seed < seeds; ++seed) {
    for (std::size_t top = 0; top < options_.tops.size(); ++top) {
      const bool all = top == all_units();
      for (const std::string& on : models) {
        if (all) planned.push_back({{company, on, Arm::kOwn, top, seed, {}}, 0, ""});
        for (const Arm arm : arms_of(options_)) {
          if (!all) planned.push_back({{company, on, arm, top, seed, {}}, 0, ""});
        }
      }
    }
  }
}

std::vector<Sweep::Planned> Sweep::plan() const {
  std::vector<Planned> planned;
  for (const Company company : companies_of(options_)) plan_company(company, planned);
  if (!options_.overlap_control) return planned;
  for (std::int64_t seed = 0; seed < options_.overlap_seeds; ++seed) {
    for (std::size_t top = 0; top < options_.overlap_tops.size(); ++top) {
      for (const SweepTask& task : tasks_) {
        if (!tests_overlap(options_, task.name)) continue;
        for (std::size_t share = 0; share < options_.shares.size(); ++share) {
          planned.push_back(
              {{Company::kTogether, "", Arm::kRandom, top, seed, {}}, share, task.name});
        }
      }
    }
  }
  return planned;
}

void Sweep::run_model(const Planned& planned) {
  SweptModel model = planned.model;
  const std::string& top = options_.tops[model.top];
  SweepCell cell = sweep_cell(sets_, tasks_, model, top);
  cell.rate = rates_.rate(model.company, model.trained_on, model.arm, top);
  model.tasks = cells_.run(cell);
  found_.models.push_back(std::move(model));
}

// All shares at the rate that was chosen for random units: if anything, it favours small ones.
void Sweep::run_overlap(const Planned& planned) {
  const SweptModel& model = planned.model;
  const std::string& top = options_.overlap_tops[model.top];
  // One name, however it was written.
  const std::string share = fmt::format("{}", std::stod(options_.shares[planned.share]));
  OverlapModel overlap{model.top, planned.share, model.seed, {}, 0};
  SweepCell cell;
  cell.name = fmt::format("overlap-{}-{}-share{}-seed{}", planned.test, parse_percent(top), share,
                          model.seed);
  for (const SweepTask& task : tasks_) {
    if (task.trained) cell.tasks.push_back(task.name);
  }
  cell.sets = {sets_.mixed(planned.test, top, share, model.seed, overlap.real_share)};
  cell.seed = model.seed;
  cell.evaluated = {planned.test};
  cell.rate = rates_.rate(Company::kTogether, "", Arm::kRandom, top);
  overlap.test = cells_.run(cell).front();
  found_.overlap_models.push_back(std::move(overlap));
}

SweepResult Sweep::run() {
  found_.base = cells_.base();
  const std::vector<Planned> planned = plan();
  const auto start = std::chrono::steady_clock::now();
  const double before = cells_.seconds();
  double told = 0;  // seconds
  std::size_t done = 0;
  for (const Planned& one : planned) {
    if (one.test.empty()) {
      run_model(one);
    } else {
      run_overlap(one);
    }
    ++done;
    const double elapsed = seconds_since(start);
    // Models of an earlier start are read in no time, and tell nothing of what the others take.
    if (cells_.made() == 0 || elapsed < told + 10 || done == planned.size()) continue;
    told = elapsed;
    note(fmt::format("{} of {} models; about {} left", done, planned.size(),
                     clock_time(elapsed / static_cast<double>(cells_.made()) *
                                static_cast<double>(planned.size() - done))));
  }
  found_.tops = options_.tops;
  found_.rates = rates_.chosen();
  found_.trainings = static_cast<std::int64_t>(planned.size());
  found_.seconds = cells_.seconds() - before;
  found_.curves = sweep_curves(options_.tops, all_units(), found_.models, found_.base);
  if (!options_.overlap_control) return std::move(found_);
  found_.overlap_tops = options_.overlap_tops;
  found_.overlap =
      overlap_curves(options_.overlap_tops.size(), options_.shares.size(), found_.overlap_models);
  return std::move(found_);
}

}  // namespace

SweepResult sweep(const Session& session, const SweepOptions& options) {
  options.check();
  if (!session.deltas().empty()) {
    throw UsageError("a sweep trains the model itself; make a folder of `delta` with apply");
  }
  const std::string line =
      fmt::format("interrupted: {} holds a sweep that has begun; the same command goes on with it",
                  options.out);
  const LineWhenInterrupted told(line);
  SweepResult result;
  try {
    blame_weights(session.checkpoint(), [&] { result = Sweep(session, options).run(); });
  } catch (const Interrupted&) {
    throw Interrupted(line);
  }
  return result;
}

}  // namespace taskneuron

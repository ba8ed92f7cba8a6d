#include "taskneuron/recipe/sweep.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "recipe/blame.h"
#include "recipe/help.h"
#include "recipe/sweep_parts.h"
#include "taskneuron/base/error.h"
#include "taskneuron/base/interruption.h"
#include "taskneuron/base/progress.h"
#include "taskneuron/neuron/selection.h"

namespace taskneuron {

namespace fs = std::filesystem;

namespace {

void declare_what(SweepOptions& options, OptionList& list) {
  list.add("other_task", &options.other_tasks, Effect::kInput,
           "Folders of tasks that are not trained: what they gain is generalization");
  list.add("out", &options.out, Effect::kNone,
           "Folder of the sweep; the same command goes on with one that was interrupted")
      .required();
  list.add("keep_models", &options.keep_models, Effect::kNone,
           "Keep the deltas of all models (cells/*/training)");
  list.add("top", &options.tops, Effect::kResult, "Shares of the units, in percent, ascending");
  list.add("arm", &options.arms, Effect::kResult,
           "own: each task's most relevant units; random: as many with its layer profile");
  list.add("trained", &options.trained, Effect::kResult,
           "together: one model on all tasks, each task's steps update its own units; alone: one "
           "for each task");
  list.add("seeds", &options.seeds, Effect::kResult,
           "Trainings of each kind; each random one has a set of its own")
      .at_least(1);
  list.add("alone_seeds", &options.alone_seeds, Effect::kResult,
           "The same of models for one task; 0: as `seeds`")
      .at_least(0);
  list.add("seed", &options.seed, Effect::kResult, "Seed of random sets and of trainings");
  list.add("scores", &options.scores, Effect::kInput,
           "Score files of the tasks, made by detect; without any they are detected");
  list.add("detect_limit", &options.detect_limit, Effect::kResult,
           "Train rows that units are detected on; 0: all")
      .at_least(0);
  list.add("scope", &options.scope, Effect::kResult, kScopeHelp);
  list.add("site", &options.site, Effect::kResult, kSitesHelp);
}

void declare_how(SweepOptions& options, OptionList& list) {
  list.add("lr", &options.rates, Effect::kResult,
           "Learning rates to choose from by validation loss, own and random sides apart; a grid "
           "whose end is best grows. One: no choice");
  list.add("tune_limit", &options.tune_limit, Effect::kResult,
           "Train rows of each task when choosing, for one epoch; 0: all")
      .at_least(0);
  list.add("tune_validation", &options.tune_validation, Effect::kResult,
           "Validation rows of each task when choosing; 0: all")
      .at_least(0);
  list.add("epochs", &options.epochs, Effect::kResult, "Passes over the rows");
  list.add("batch", &options.batch, Effect::kResult, "Examples per optimizer step").at_least(1);
  list.add("schedule", &options.schedule, Effect::kResult, "constant, linear or cosine, to zero");
  list.add("warmup_steps", &options.warmup_steps, Effect::kResult, "Steps of rising learning rate")
      .at_least(0);
  list.add("weight_decay", &options.weight_decay, Effect::kResult, "Decoupled weight decay")
      .at_least(0);
  list.add("clip", &options.clip, Effect::kResult, "Largest gradient norm; 0: any").at_least(0);
  list.add("test_limit", &options.test_limit, Effect::kResult,
           "Test rows of a classification task; 0: all")
      .at_least(0);
  list.add("generate_limit", &options.generate_limit, Effect::kResult,
           "Test rows of a generation task; 0: all")
      .at_least(0);
}

void declare_overlap(SweepOptions& options, OptionList& list) {
  list.add("overlap_control", &options.overlap_control, Effect::kResult,
           "Also train a fixed number of units of which a share are the test task's own, for every "
           "task (the paper's A.7)");
  list.add("overlap_top", &options.overlap_tops, Effect::kResult,
           "With it: shares of the units, in percent, ascending");
  list.add("share", &options.shares, Effect::kResult,
           "With it: which part of the trained units is the test task's own, 0 to 1, ascending");
  list.add("overlap_seeds", &options.overlap_seeds, Effect::kResult,
           "With it: trainings of each kind")
      .at_least(1);
}

double number_of(const char* option, const std::string& text, double least, double most,
                 const char* allowed) {
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (!text.empty() && *end == '\0' && value >= least && value <= most) return value;
  throw UsageError(option, text, allowed, "is out of range");
}

void require_ascending(const char* option, const std::vector<std::string>& texts,
                       const std::vector<double>& values) {
  if (texts.empty()) throw UsageError(fmt::format("`{}` is empty", option));
  for (std::size_t i = 1; i < values.size(); ++i) {
    if (values[i] > values[i - 1]) continue;
    throw UsageError(fmt::format("`{}` must ascend, each once: {} stands behind {}", option,
                                 texts[i], texts[i - 1]));
  }
}

std::vector<double> percents(const std::vector<std::string>& tops) {
  std::vector<double> values;
  for (const std::string& top : tops) values.push_back(parse_percent(top));
  return values;
}

std::vector<Company> companies_of(const SweepOptions& options) {
  std::vector<Company> result;
  for (const std::string& name : options.trained) result.push_back(parse_company(name));
  return result;
}

std::vector<Arm> arms_of(const SweepOptions& options) {
  std::vector<Arm> result;
  for (const std::string& name : options.arms) {
    if (name != "own" && name != "random") throw UsageError("arm", name, "own or random");
    result.push_back(name == "own" ? Arm::kOwn : Arm::kRandom);
  }
  return result;
}

}  // namespace

void SweepOptions::declare(OptionList& list) {
  data.declare(list);
  list.remove("batch");  // here it counts examples per step
  list.remove("split");
  declare_what(*this, list);
  declare_how(*this, list);
  declare_overlap(*this, list);
}

void SweepOptions::check() const {
  check_declared(*this);
  data.check();
  require_ascending("top", tops, percents(tops));
  require_ascending("overlap_top", overlap_tops, percents(overlap_tops));
  std::vector<double> parts;
  for (const std::string& part : shares) {
    parts.push_back(number_of("share", part, 0, 1, "numbers from 0 to 1"));
  }
  require_ascending("share", shares, parts);
  if (overlap_control && shares.size() < 2) {
    throw UsageError("`overlap_control` needs two shares or more to compare");
  }
  if (companies_of(*this).empty()) throw UsageError("`trained` is empty");
  if (arms_of(*this).empty()) throw UsageError("`arm` is empty");
  for (const std::string& rate : rates) {
    if (!(number_of("lr", rate, 0, 1e3, "numbers above 0") > 0)) {
      throw UsageError("lr", rate, "numbers above 0", "is out of range");
    }
  }
  if (rates.empty()) throw UsageError("`lr` is empty");
  number_of("epochs", fmt::format("{}", epochs), 1e-9, 1e9, "a number above 0");
  parse_scope(scope);
  parse_schedule(schedule);
  if (parse_sites({site}).size() != 1) throw UsageError("site", site, "one of act, up, gate, out");
  sweep_tasks(*this);
}

namespace {

// All that a sweep does, in its order.
class Sweep {
 public:
  Sweep(const Session& session, const SweepOptions& options)
      : options_(options),
        tasks_(sweep_tasks(options)),
        folder_(open_sweep_folder(session, options, tasks_)),
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

// All shares at the rate that was chosen for random units: none is favoured.
void Sweep::run_overlap(const Planned& planned) {
  const SweptModel& model = planned.model;
  const std::string& top = options_.overlap_tops[model.top];
  const std::string& share = options_.shares[planned.share];
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
  const Arm arm = parse_percent(top) == 100 ? Arm::kOwn : Arm::kRandom;
  cell.rate = rates_.rate(Company::kTogether, "", arm, top);
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
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    if (elapsed.count() < told + 10 || done == planned.size()) continue;
    told = elapsed.count();
    note(fmt::format("{} of {} models; about {} left", done, planned.size(),
                     clock_time(elapsed.count() / static_cast<double>(done) *
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

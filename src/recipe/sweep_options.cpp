// What a sweep may be asked, and what of it is wrong by itself.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include "recipe/help.h"
#include "recipe/sweep_parts.h"
#include "taskneuron/base/error.h"
#include "taskneuron/neuron/selection.h"
#include "taskneuron/train/schedule.h"

namespace taskneuron {

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
  options.declare_optimizer(list);
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
  list.add("overlap_task", &options.overlap_tasks, Effect::kResult,
           "With it: names of the tasks that are tested; default: all");
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
  errno = 0;
  const double value = std::strtod(text.c_str(), &end);
  const bool whole = !text.empty() && *end == '\0' && errno == 0;
  if (whole && value >= least && value <= most) return value;
  throw UsageError(option, text, allowed, "is out of range");
}

// Numbers from 0 to 1 that ascend.
void require_shares(const std::vector<std::string>& texts) {
  double before = -1;
  for (const std::string& text : texts) {
    const double share = number_of("share", text, 0, 1, "numbers from 0 to 1");
    if (!(share > before)) throw UsageError("`share` must ascend, each once");
    before = share;
  }
}

void require_each_once(const char* option, const std::vector<std::string>& names) {
  if (names.empty()) throw UsageError(fmt::format("`{}` is empty", option));
  for (const std::string& name : names) {
    if (std::count(names.begin(), names.end(), name) == 1) continue;
    throw UsageError(option, name, "each once", "is there twice");
  }
}

// Every name must be one of the tasks'.
void require_overlap_tasks(const SweepOptions& options, const std::vector<SweepTask>& tasks) {
  for (const std::string& name : options.overlap_tasks) {
    std::vector<std::string> names;
    for (const SweepTask& task : tasks) names.push_back(task.name);
    if (std::find(names.begin(), names.end(), name) != names.end()) continue;
    throw UsageError("overlap_task", name, fmt::format("{}", fmt::join(names, ", ")));
  }
}

}  // namespace

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
  parse_percents(tops);
  parse_percents(overlap_tops, "overlap_top");
  require_shares(shares);
  if (overlap_control && shares.size() < 2) {
    throw UsageError("`overlap_control` needs two shares or more to compare");
  }
  if (!overlap_control && !overlap_tasks.empty()) {
    throw UsageError("`overlap_task` needs `overlap_control`");
  }
  if (overlap_control && parse_percent(overlap_tops.back()) == 100) {
    throw UsageError("overlap_top", overlap_tops.back(), "shares below 100%",
                     "leaves no units outside the test task's own");
  }
  companies_of(*this);
  arms_of(*this);
  require_each_once("trained", trained);
  require_each_once("arm", arms);
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
  require_overlap_tasks(*this, sweep_tasks(*this));
}

}  // namespace taskneuron

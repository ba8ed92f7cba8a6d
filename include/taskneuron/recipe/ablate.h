#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "taskneuron/analysis/deactivation.h"
#include "taskneuron/recipe/findings.h"
#include "taskneuron/recipe/session.h"

namespace taskneuron {

// Question 1 of the method: units of tasks switched off, and random ones, at every dose and mode.
struct AblateOptions {
  DataOptions data;
  std::vector<std::string> scores;
  std::vector<std::string> tops = {"10%"};
  std::vector<std::string> scopes = {"global"};
  std::vector<std::string> sites;
  std::string aggregate;
  std::vector<std::string> modes = {"activation"};
  std::vector<std::string> random_kinds = {"matched"};
  std::int64_t random_seeds = kSetsForAlpha;
  std::uint64_t seed = 0;
  bool own_only = false;
  std::string text;
  std::int64_t text_tokens = 0;
  std::string keep;         // folder of what is evaluated so far, to go on from
  std::string predictions;  // folder of one file per task, a JSON row per example and set
  bool force = false;       // whether they may replace files
  bool allow_other_weights = false;
  AblateOptions() { data.split = "test"; }
  void declare(OptionList& list);  // all but `force`
  // Throws what is known to be wrong before a model is opened.
  void check() const;
};

// Perplexity of unrelated text with the units of one task off.
struct SideEffect {
  std::string task;
  double own = 0;
  std::map<RandomKind, std::vector<double>> random;  // by draw
};

struct AblateResult {
  std::vector<Condition> conditions;  // every dose in every mode
  std::vector<DeactivatedTask> tasks;
  std::uint64_t seed = 0;
  double text_perplexity = 0;  // of the model as it is
  std::int64_t text_tokens = 0;
  std::vector<std::vector<SideEffect>> side_effects;  // by condition; empty without a text
  std::string template_name;
  RunHashes hashes;
  std::vector<ReferenceTexts> references;
  std::vector<Warning> warnings;
  std::vector<std::unique_ptr<const std::vector<TaskSets>>> doses;  // that the conditions borrow
};

AblateResult ablate(const Session& session, const AblateOptions& options);

// Pairs of conditions (activation, parameter) that are one function.
std::vector<std::pair<std::size_t, std::size_t>> agreeing(const std::vector<Condition>& conditions);

}  // namespace taskneuron

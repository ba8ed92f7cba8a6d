#include "taskneuron/recipe/combine_sets.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/check.h"
#include "base/file.h"
#include "base/sha256.h"
#include "recipe/fitting_set.h"
#include "recipe/help.h"
#include "taskneuron/base/error.h"
#include "taskneuron/base/progress.h"
#include "taskneuron/base/version.h"
#include "taskneuron/neuron/set_algebra.h"

namespace taskneuron {

const char* set_operation_name(SetOperation operation) {
  switch (operation) {
    case SetOperation::kUnion: return "union";
    case SetOperation::kIntersection: return "intersection";
    case SetOperation::kDifference: return "difference";
    case SetOperation::kAtLeast: return "at-least";
  }
  TN_CHECK(false);
}

void CombineSetsOptions::declare(OptionList& list) {
  if (operation == SetOperation::kAtLeast) {
    list.add("m", &m, Effect::kResult, "In how many of the sets a unit has to be")
        .positional()
        .required()
        .at_least(1);
  }
  list.add("sets", &sets, Effect::kInput, "Set files made by select, or by this")
      .positional()
      .required();
  list.add("allow_other_weights", &allow_other_weights, Effect::kNone, kOtherWeightsHelp);
  output.declare(list, "Set file").required();
}

void CombineSetsOptions::check() const {
  check_declared(*this);
  if (sets.size() < 2) {
    throw UsageError(fmt::format("{} is of two sets or more; there is only '{}'",
                                 set_operation_name(operation), sets.front()));
  }
  if (operation == SetOperation::kAtLeast && m > static_cast<std::int64_t>(sets.size())) {
    throw UsageError(fmt::format("at least {} of {} sets: no unit can be", m, sets.size()));
  }
}

namespace {

NeuronSet combine(const CombineSetsOptions& options, const std::vector<NeuronSet>& sets) {
  switch (options.operation) {
    case SetOperation::kUnion: return union_of(sets);
    case SetOperation::kIntersection: return intersection_of(sets);
    case SetOperation::kDifference: return difference_of(sets);
    case SetOperation::kAtLeast: return at_least(options.m, sets);
  }
  TN_CHECK(false);
}

std::string joined(const std::vector<std::string>& texts) {
  return fmt::format("{}", fmt::join(texts, ", "));
}

std::map<std::string, std::string> origin(const CombineSetsOptions& options,
                                          const std::vector<NeuronSet>& sets) {
  std::map<std::string, std::string> from;
  from["operation"] = set_operation_name(options.operation);
  if (options.operation == SetOperation::kAtLeast) from["m"] = std::to_string(options.m);
  from["sets"] = joined(options.sets);
  std::vector<std::string> hashes, models;
  for (const std::string& file : options.sets) hashes.push_back(sha256_of_file(file));
  from["set_hashes"] = joined(hashes);
  for (const NeuronSet& set : sets) {
    if (std::find(models.begin(), models.end(), set.model_hash) == models.end()) {
      models.push_back(set.model_hash);
    }
  }
  if (models.size() > 1) from["models"] = joined(models);
  // What all have in common holds for the result too: what it was detected on, and how.
  for (const char* key : {"task", "split", "template_hash", "method", "aggregate", "experts"}) {
    const auto known = sets.front().from.find(key);
    if (known == sets.front().from.end()) continue;
    const bool agree = std::all_of(sets.begin(), sets.end(), [&](const NeuronSet& set) {
      const auto other = set.from.find(key);
      return other != set.from.end() && other->second == known->second;
    });
    if (agree) from[key] = known->second;
  }
  from["version"] = version();
  return from;
}

}  // namespace

NeuronSet combine_sets(const CombineSetsOptions& options) {
  options.check();
  require_writable(options.output.out, options.output.existing());
  std::vector<NeuronSet> sets;
  for (const std::string& file : options.sets) {
    sets.push_back(load_set(file));
    require_same_model(sets.front(), sets.back(), options.sets.front(), file,
                       other_weights(options.allow_other_weights));
  }
  NeuronSet result = combine(options, sets);
  result.from = origin(options, sets);
  if (result.size() == 0) warn(fmt::format("{}: the set is empty", options.output.out));
  save_set(result, options.output.out);
  return result;
}

}  // namespace taskneuron

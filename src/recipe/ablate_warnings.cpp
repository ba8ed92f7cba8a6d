// What the numbers of `ablate` cannot show, or were not made for.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "recipe/ablate_parts.h"
#include "recipe/warnings.h"

namespace taskneuron {

namespace {

using Warnings = std::vector<Warning>;

void compare_with_scores(const DeactivatedTask& task, const ScoreInfo& scores,
                         const RunHashes& hashes, Warnings& warnings) {
  const Origin origin = {scores.split, scores.template_hash, scores.model_hash};
  const Warning of = {"", task.task, "", ""};
  warn_of_rows(origin, task.split, of, warnings);
  warn_of_template(origin, hashes, of, warnings);
  warn_of_weights(origin, hashes, of, warnings);
}

// Every kind has as many sets.
void judge_sets(const DeactivatedTask& task, Warnings& warnings) {
  const auto& random = task.conditions.front().random;
  if (random.empty()) return;
  const auto sets = static_cast<std::int64_t>(random.begin()->second.by_draw.size());
  if (sets == 1) {
    warnings.push_back({"few-sets", "",
                        "one random set: its difference from other random sets is unknown, so "
                        "there is no test and no interval; 19 let one task alone reach p = .05"});
  } else if (sets < kSetsForAlpha) {
    warnings.push_back({"few-sets", "",
                        fmt::format("{} random sets: the randomisation p of one task cannot be "
                                    "below {:.3f}; 19 reach .05",
                                    sets, 1 / static_cast<double>(sets + 1))});
  }
}

void judge_outside(const AblateResult& found, const DeactivatedTask& task, Warnings& warnings) {
  for (const Condition& condition : found.conditions) {
    const TaskSets& sets = (*condition.sets)[task.own];
    if (sets.random.count(RandomKind::kOutside) == 0) continue;
    if (&condition != &found.conditions.front() && (&condition - 1)->sets == condition.sets) {
      continue;  // another mode of the same sets
    }
    std::string layers;
    std::int64_t missing = 0;
    for (const ExhaustedLayer& layer : exhausted_layers(sets.own)) {
      layers += fmt::format("{}{} ({} of {})", layers.empty() ? "" : ", ", layer.layer,
                            layer.outside, layer.inside);
      missing += layer.inside - layer.outside;
    }
    if (layers.empty()) continue;
    warnings.push_back(
        {"exhausted-layers", task.task,
         fmt::format("at top {}, scope {}: outside its own units too few are left in layer {}; "
                     "random sets of kind outside hold all of them, and {} units fewer than its "
                     "own; use `scope` layer or a smaller `top`",
                     condition.top, condition.scope, layers, missing)});
  }
}

void judge_matrix(const AblateResult& found, Warnings& warnings) {
  const auto matrix = cross_matrix(found.tasks, *found.conditions.front().sets, 0, found.seed);
  if (!matrix) return;
  const DiagonalTest& test = matrix->loss_test;
  if (!test.p) {
    warnings.push_back({"few-orders", "",
                        fmt::format("cross matrix: rows of {} tasks can be ordered in {} way{} "
                                    "within their types, so that no p could be below .5 and none "
                                    "is given",
                                    found.tasks.size(), test.orders, test.orders == 1 ? "" : "s")});
  } else if (test.smallest_p > kAlpha) {
    warnings.push_back(
        {"few-orders", "",
         fmt::format("cross matrix: {} row orders within task types, so that no p can be below "
                     "{:.3f}",
                     test.orders, test.smallest_p)});
  }
}

}  // namespace

std::vector<Warning> ablate_warnings(const AblateResult& found,
                                     const std::vector<ScoreInfo>& origins) {
  Warnings warnings;
  for (const DeactivatedTask& task : found.tasks) {
    compare_with_scores(task, origins[task.own], found.hashes, warnings);
    judge_outside(found, task, warnings);
    if (task.examples == 1) {
      warnings.push_back({"one-row", task.task,
                          "one row: how examples differ is unknown, so there are no intervals, "
                          "and a test speaks of this row alone"});
    }
  }
  judge_sets(found.tasks.front(), warnings);
  judge_matrix(found, warnings);
  return warnings;
}

}  // namespace taskneuron

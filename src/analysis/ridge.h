#pragma once

#include <vector>

#include "taskneuron/analysis/forecast.h"

namespace taskneuron {

// Every column minus its mean, over its standard deviation, the diagonal left out. A column that is
// constant, or has fewer than two entries, has none afterwards.
TaskTable within_targets(const TaskTable& table);
// 0, a target's mean, in place of entries off the diagonal that are missing.
TaskTable filled(TaskTable table);

// Weights of standardised predictors that foresee standardised measured entries best, under a
// penalty as strong as one entry-wide unit of variance: (XᵀX/n + I)⁻¹ Xᵀy/n. It is fixed, so that
// nothing is chosen by looking at what is to be foreseen. Zero where there is no entry.
std::vector<double> ridge_weights(const std::vector<TaskTable>& predictors,
                                  const TaskTable& measured);

// Entry (i, j) as foreseen by weights fitted to the entries of all tasks but i and j, standardised
// among those. measured: as it was measured.
TaskTable cross_validated_ridge(const std::vector<TaskTable>& predictors,
                                const TaskTable& measured);

}  // namespace taskneuron

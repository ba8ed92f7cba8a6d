#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "taskneuron/evaluate/loss_interval.h"
#include "taskneuron/recipe/findings.h"
#include "taskneuron/train/run_input.h"

// What results say about where they come from, and how sure they are.
namespace taskneuron::cli {

// [{"path", "hash", "scale"}]
OutputJson deltas_json(const std::vector<RunInput>& deltas);

// A p value as tables show it: "0.012", "3.1e-05"; "–" where there is none.
std::string p_text(const std::optional<double>& p);

// "2.3312 ± 0.1204"; "" without any loss.
std::string loss_text(const LossInterval& loss);
// Sets "loss", "loss_stderr", "loss_low" and "loss_high"; null where there is none.
void add_loss(OutputJson& json, const LossInterval& loss);

// [{"task", "split", "rows", ...} | {"text", ...}]
OutputJson references_json(const std::vector<ReferenceTexts>& references);

// [{"kind", "task"?, "set"?, "text"}]
OutputJson warnings_json(const std::vector<Warning>& warnings);
// A line each, after an empty one; nothing without any.
void print_warnings(const std::vector<Warning>& warnings);

}  // namespace taskneuron::cli

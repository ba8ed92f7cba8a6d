#pragma once

#include "base/file.h"
#include "base/json.h"
#include "taskneuron/evaluate/evaluation.h"

// The rows in which results are written, and read again: one place for their keys.
namespace taskneuron {

// {"task", "split", "metric", "value", "stderr", "examples", "loss"}: what was measured, without
// its predictions.
OutputJson result_row(const TaskResult& result);
TaskResult read_result_row(const JsonView& row);

// {"index", "prediction", "reference", "correct" | "score", "scores"?, "label"?, "loss", "metric"}
OutputJson prediction_row(const Prediction& prediction, const Metric& metric);
// Without the texts. Throws Error for a label that is none of the ranked ones.
Prediction read_prediction_row(const JsonView& row);

// Writes a line for every prediction: `key` (what tells the row from others of its file), then
// prediction_row(). Text that is not UTF-8, as a model may generate, is written with U+FFFD.
void write_predictions(AtomicFile& file, const OutputJson& key, const TaskResult& result);

}  // namespace taskneuron

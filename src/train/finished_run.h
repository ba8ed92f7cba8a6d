#pragma once

#include <filesystem>

#include "base/json.h"
#include "taskneuron/train/training_run.h"

namespace taskneuron {

// certificate.json of a run.
OutputJson certificate_json(const Certificate& certificate, const std::string& base_hash);

// Marks the run in a folder as finished, with what came out.
void finish_run(const std::filesystem::path& folder, const TrainingRunResult& result);
// What came out of one that is; evaluations without predictions.
TrainingRunResult read_finished_run(const std::filesystem::path& folder);

}  // namespace taskneuron

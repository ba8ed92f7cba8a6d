#pragma once

#include "base/json.h"
#include "taskneuron/recipe/ablate.h"

namespace taskneuron::cli {

void print_ablation(const AblateResult& found);
// {"results", "averages", "cross_matrices", "perplexity"?, "agreement"?, "warnings"}
OutputJson ablation_json(const AblateResult& found);

}  // namespace taskneuron::cli

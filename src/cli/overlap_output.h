#pragma once

#include "base/json.h"
#include "taskneuron/recipe/overlap.h"

namespace taskneuron::cli {

// docs/formats/results.md, "overlap --json".
OutputJson overlap_json(const OverlapResult& found);
// The same as tables and a tree.
void print_overlap(const OverlapResult& found);

}  // namespace taskneuron::cli

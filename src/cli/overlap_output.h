#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/json.h"
#include "taskneuron/recipe/overlap.h"

namespace taskneuron::cli {

// docs/formats/results.md, "overlap --json".
OutputJson overlap_json(const OverlapResult& found);
// How long the folder is that all names begin with, its slash included: tables leave it out.
std::size_t common_folder(const std::vector<std::string>& names);
// The same as tables and a tree.
void print_overlap(const OverlapResult& found);

}  // namespace taskneuron::cli

#pragma once

#include <vector>

#include "taskneuron/recipe/select.h"

namespace taskneuron::cli {

// Set files that were written: a row per site of each, or JSON (of one, no list).
void print_sets(const std::vector<SelectedSet>& sets, bool as_json);

}  // namespace taskneuron::cli

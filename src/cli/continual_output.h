#pragma once

#include "cli/command.h"
#include "taskneuron/recipe/continual.h"

namespace taskneuron::cli {

// docs/formats/continual.md, what follows "model".
void add_streams_json(OutputJson& json, const ContinualResult& found);
// A matrix for every stream, then metrics and costs of the methods, and how they compare.
void print_streams(const ContinualResult& found);

}  // namespace taskneuron::cli

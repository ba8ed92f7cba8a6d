#pragma once

#include "cli/command.h"
#include "taskneuron/recipe/continual.h"

namespace taskneuron::cli {

// docs/formats/continual.md, what follows "model".
void add_streams_json(OutputJson& json, const ContinualResult& found);
// Which pairs of methods are printed: those of the first one, or all that were compared.
enum class Compared { kWithFirst, kAsked };
// A matrix for every stream, then metrics and costs of the methods, and how they compare.
void print_streams(const ContinualResult& found, Compared compared = Compared::kWithFirst);

}  // namespace taskneuron::cli

#pragma once

#include "base/json.h"
#include "taskneuron/recipe/continual.h"

namespace taskneuron {

// A stage's cost as it stands in stage.json and in results. In stage.json what is the method's, not
// the stage's, is 0: stored_bytes, shared_bytes and memory_seconds. `folder` stands in results
// alone.
OutputJson cost_json(const StageCost& cost);
StageCost read_cost(const JsonView& json);

}  // namespace taskneuron

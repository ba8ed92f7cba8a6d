#pragma once

#include "taskneuron/recipe/continual.h"

namespace taskneuron {

// What runs say together.
inline StreamSummary summary_of(const std::vector<StreamRun>& runs) {
  std::vector<ScoredStream> scored;
  for (const StreamRun& run : runs) {
    scored.push_back({run.method, run.order, run.seed, run.metrics});
  }
  return stream_summary(scored);
}

}  // namespace taskneuron

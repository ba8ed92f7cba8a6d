#pragma once

#include "taskneuron/recipe/continual.h"

namespace taskneuron {

// What runs say together; of these pairs of methods, or of every two.
inline StreamSummary summary_of(const std::vector<StreamRun>& runs, const MethodPairs& pairs = {}) {
  std::vector<ScoredStream> scored;
  for (const StreamRun& run : runs) {
    scored.push_back({run.method, run.order, run.seed, run.metrics});
  }
  return stream_summary(scored, pairs);
}

}  // namespace taskneuron

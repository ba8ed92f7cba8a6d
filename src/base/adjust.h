#pragma once

#include <vector>

#include "taskneuron/base/inference.h"

namespace taskneuron {

// Fills p_adjusted of a family's tests; those without a p are no part of it.
template <typename Tested>
void adjust_family(const std::vector<Tested*>& family) {
  std::vector<Tested*> tested;
  std::vector<double> p;
  for (Tested* one : family) {
    if (!one->p()) continue;
    tested.push_back(one);
    p.push_back(*one->p());
  }
  const std::vector<double> adjusted = benjamini_hochberg(p);
  for (std::size_t i = 0; i < tested.size(); ++i) tested[i]->p_adjusted = adjusted[i];
}

}  // namespace taskneuron

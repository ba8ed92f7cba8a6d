#pragma once

#include <cstddef>
#include <vector>

#include "taskneuron/analysis/fidelity.h"
#include "taskneuron/base/random.h"

// What the audit of losses and that of stability share.
namespace taskneuron {

SiteRelevance fidelity_relevance(const Scores& scores, const FidelityOptions& options);

// 0 .. count − 1 in random order.
std::vector<std::size_t> shuffled(std::size_t count, Random& random);

// The examples of these numbers.
std::vector<AnswerExample> chosen(const std::vector<AnswerExample>& examples,
                                  std::vector<std::size_t>::const_iterator begin,
                                  std::vector<std::size_t>::const_iterator end);

}  // namespace taskneuron

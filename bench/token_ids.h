#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <string>
#include <vector>

#include "taskneuron/data/examples.h"

namespace taskneuron::bench {

// Examples as the peers read them.
inline std::string as_json(const AnswerExample& example) {
  return fmt::format("{{\"ids\": [{}], \"answer\": {}}}", fmt::join(example.ids, ", "),
                     example.answer_tokens);
}

inline std::string as_json(const RankedExample& example) {
  std::vector<std::string> labels;
  for (const RankedExample::Label& label : example.labels) {
    labels.push_back(fmt::format("{{\"ids\": [{}], \"scored\": {}}}", fmt::join(label.ids, ", "),
                                 label.scored_tokens));
  }
  return fmt::format("{{\"trunk\": [{}], \"labels\": [{}]}}", fmt::join(example.trunk, ", "),
                     fmt::join(labels, ", "));
}

}  // namespace taskneuron::bench

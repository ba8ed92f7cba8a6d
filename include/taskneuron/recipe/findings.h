#pragma once

#include <cstdint>
#include <string>

namespace taskneuron {

// What a result's numbers cannot show, or were not made for.
struct Warning {
  std::string kind;  // same-rows, other-template, other-weights, few-sets, ...
  std::string task;  // empty: of all
  std::string text;
  std::string set = {};  // the set's file, where there are several
};

// The prompt template and the weights that a result was made with.
struct RunHashes {
  std::string prompt_template;
  std::string model;
};

// Texts whose activations took the place of a set's.
struct ReferenceTexts {
  std::string task;            // whose prompts; empty: unrelated text
  std::string split;           // of the task
  std::int64_t rows = 0;       // of the task
  std::int64_t tokens = 0;     // that ran
  std::int64_t positions = 0;  // that values may be drawn from
};

}  // namespace taskneuron

#pragma once

#include <cstdint>
#include <vector>

#include "taskneuron/data/examples.h"

namespace taskneuron {

// A running text in windows that do not overlap.
struct TextWindows {
  std::vector<AnswerExample> windows;  // the answer: what is predicted
  std::int64_t tokens = 0;             // of the text
  std::int64_t window_tokens = 0;      // that a window may have
};
// begins_with: tokens that the model knows every text to begin with; each window does, and all that
// follows them is predicted. Without any, a window's first token is not. Throws Error where no
// window has two tokens.
TextWindows text_windows(const std::vector<std::int64_t>& ids,
                         const std::vector<std::int64_t>& begins_with, std::int64_t window_tokens);

}  // namespace taskneuron

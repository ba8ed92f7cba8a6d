#include "taskneuron/data/text_windows.h"

#include <fmt/format.h>

#include <algorithm>

#include "taskneuron/base/error.h"

namespace taskneuron {

TextWindows text_windows(const std::vector<std::int64_t>& ids,
                         const std::vector<std::int64_t>& begins_with, std::int64_t window_tokens) {
  TextWindows text;
  text.tokens = static_cast<std::int64_t>(ids.size());
  text.window_tokens = window_tokens;
  const auto begun = static_cast<std::int64_t>(begins_with.size());
  const std::int64_t step = window_tokens - begun;
  if (step < (begun > 0 ? 1 : 2)) {
    throw Error(fmt::format("windows of {} tokens have no room for a text", window_tokens));
  }
  for (std::int64_t begin = 0; begin < text.tokens; begin += step) {
    const std::int64_t end = std::min(begin + step, text.tokens);
    const std::int64_t predicted = end - begin - (begun > 0 ? 0 : 1);
    if (predicted < 1) break;
    AnswerExample& window = text.windows.emplace_back();
    window.ids = begins_with;
    window.ids.insert(window.ids.end(), ids.begin() + begin, ids.begin() + end);
    window.answer_tokens = predicted;
  }
  if (text.tokens < 2 || text.windows.empty()) {
    throw Error("a text of fewer than two tokens has no perplexity");
  }
  return text;
}

}  // namespace taskneuron

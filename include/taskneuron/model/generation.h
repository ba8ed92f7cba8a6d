#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "taskneuron/model/decoder.h"

namespace taskneuron {

struct GenerationOptions {
  std::int64_t max_new_tokens = 0;
  std::int64_t end_of_sequence = 0;
  std::int64_t prompt_tokens = 0;  // of prompts that run in one pass, at least one; 0: all
  // Whether to stop after these generated ids (a blank line, say); may be empty.
  std::function<bool(const std::vector<std::int64_t>&)> stop;
  // Called after each pass with the tokens that it ran; may be empty, may throw (Interrupted).
  std::function<void(std::int64_t tokens)> progress = {};
};

// Greedy continuations of prompts, all decoded side by side with keys and values kept; what
// they all start with runs once. Ties go to the lowest id. A continuation ends before
// end-of-sequence, after the token that `stop` answers to, or at max_new_tokens. REQUIRES prompts
// that are not empty.
std::vector<std::vector<std::int64_t>> generate(
    const Decoder& decoder, NeuronHook& hook, const std::vector<std::vector<std::int64_t>>& prompts,
    const GenerationOptions& options);

}  // namespace taskneuron

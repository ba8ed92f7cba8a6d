#include "taskneuron/model/generation.h"

#include <algorithm>

#include "base/torch_compat.h"
#include "taskneuron/base/error.h"

namespace taskneuron {

namespace {

// Tokens [begin, end) behind what is cached of their sequence; logits at the last of each segment.
void append_tokens(Batch& batch, std::int64_t sequence, std::int64_t position,
                   std::vector<std::int64_t>::const_iterator begin,
                   std::vector<std::int64_t>::const_iterator end) {
  Segment& segment = batch.segments.emplace_back();
  segment.begin = batch.tokens();
  for (auto id = begin; id != end; ++id) {
    batch.ids.push_back(*id);
    batch.positions.push_back(position++);
  }
  segment.end = batch.tokens();
  segment.logit_rows = 1;
  segment.example = static_cast<int>(batch.examples++);
  segment.cached = static_cast<int>(sequence);
  segment.append_to_cache = true;
}

std::vector<std::int64_t> most_likely(const Decoder& decoder, const Batch& batch, NeuronHook& hook,
                                      KeyValueCache& cache) {
  const at::Tensor logits = decoder.logits(decoder.features(batch, hook, &cache));
  if (!at::isfinite(logits.max()).item<bool>()) {
    throw NonFiniteError("the model's logits are not finite; try `dtype` float32");
  }
  const at::Tensor best = logits.argmax(-1).cpu();
  const auto* ids = best.data_ptr<std::int64_t>();
  return {ids, ids + best.numel()};
}

// Runs what all prompts start with once and gives every sequence its keys and values; how many
// tokens that were.
std::int64_t run_shared_prefix(const Decoder& decoder, NeuronHook& hook,
                               const std::vector<std::vector<std::int64_t>>& prompts,
                               KeyValueCache& cache) {
  if (prompts.size() < 2) return 0;
  std::int64_t tokens = static_cast<std::int64_t>(prompts.front().size()) - 1;
  for (const auto& prompt : prompts) {
    tokens = std::min(tokens, static_cast<std::int64_t>(prompt.size()) - 1);
    tokens = std::mismatch(prompt.begin(), prompt.begin() + tokens, prompts.front().begin()).first -
             prompt.begin();
  }
  if (tokens == 0) return 0;
  Batch batch;
  append_tokens(batch, 0, 0, prompts.front().begin(), prompts.front().begin() + tokens);
  decoder.features(batch, hook, &cache);
  for (std::size_t i = 1; i < prompts.size(); ++i) cache.copy(0, static_cast<std::int64_t>(i));
  return tokens;
}

}  // namespace

std::vector<std::vector<std::int64_t>> generate(
    const Decoder& decoder, NeuronHook& hook, const std::vector<std::vector<std::int64_t>>& prompts,
    const GenerationOptions& options) {
  const at::NoGradGuard no_gradients;
  const auto count = static_cast<std::int64_t>(prompts.size());
  KeyValueCache cache(count, decoder.config().layers);
  std::vector<std::vector<std::int64_t>> outputs(prompts.size());
  std::vector<std::int64_t> active;
  for (const auto& prompt : prompts) TN_CHECK(!prompt.empty());
  const std::int64_t shared = run_shared_prefix(decoder, hook, prompts, cache);
  std::vector<std::int64_t> next;  // of every active text
  Batch batch;
  const auto run_batch = [&] {
    const std::vector<std::int64_t> found = most_likely(decoder, batch, hook, cache);
    next.insert(next.end(), found.begin(), found.end());
    if (options.progress) options.progress(batch.tokens());
    batch = Batch();
  };
  for (std::int64_t i = 0; i < count && options.max_new_tokens > 0; ++i) {
    const auto& prompt = prompts[static_cast<std::size_t>(i)];
    const std::int64_t tokens = batch.tokens() + static_cast<std::int64_t>(prompt.size()) - shared;
    const bool full = options.prompt_tokens > 0 && tokens > options.prompt_tokens;
    if (full && batch.tokens() > 0) run_batch();
    append_tokens(batch, i, shared, prompt.begin() + shared, prompt.end());
    active.push_back(i);
  }
  if (batch.tokens() > 0) run_batch();
  for (std::int64_t step = 1; !active.empty(); ++step) {
    std::vector<std::int64_t> still_active;
    for (std::size_t k = 0; k < active.size(); ++k) {
      const auto sequence = static_cast<std::size_t>(active[k]);
      if (next[k] == options.end_of_sequence) continue;
      outputs[sequence].push_back(next[k]);
      if (step == options.max_new_tokens) continue;
      if (options.stop && options.stop(outputs[sequence])) continue;
      const auto position =
          static_cast<std::int64_t>(prompts[sequence].size() + outputs[sequence].size()) - 1;
      append_tokens(batch, active[k], position, outputs[sequence].end() - 1,
                    outputs[sequence].end());
      still_active.push_back(active[k]);
    }
    active = std::move(still_active);
    next.clear();
    if (!active.empty()) run_batch();
  }
  return outputs;
}

}  // namespace taskneuron

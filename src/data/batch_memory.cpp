#include "taskneuron/data/batch_memory.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/torch_compat.h"
#include "base/world.h"
#include "model/memory.h"
#include "taskneuron/base/error.h"
#include "taskneuron/base/memory.h"

namespace taskneuron {

namespace {

// The peak over a run's batches.
std::int64_t peak_of(const MemoryModel& model, const BatchDemand& demand, Pass pass,
                     const BatchLimits& limits) {
  std::int64_t peak = 0;
  for (const auto& members : group_by_length(demand.lengths, limits)) {
    PassShape shape;
    shape.examples = static_cast<std::int64_t>(members.size());
    shape.logit_rows = shape.examples * demand.logit_rows;
    shape.rows = demand.shared_tokens;
    shape.trains_weights = demand.trains_weights;
    for (const std::int64_t member : members) {
      const std::int64_t length = demand.lengths[static_cast<std::size_t>(member)];
      shape.rows += length;
      shape.longest = std::max(shape.longest, length + demand.shared_tokens);
    }
    std::int64_t bytes = model.pass(pass, shape);
    if (demand.new_tokens > 0) {
      bytes +=
          model.cache(shape.rows + shape.examples * (demand.new_tokens + demand.shared_tokens));
    }
    peak = std::max(peak, bytes);
  }
  return peak;
}

// How many texts may grow side by side in `spare` bytes: one new token at a time is little work,
// and most of a pass is then the reading of weights.
std::int64_t texts_side_by_side(const MemoryModel& model, const BatchDemand& demand,
                                std::int64_t spare, std::int64_t* bytes) {
  constexpr std::int64_t kMost = 64;
  const std::int64_t longest = *std::max_element(demand.lengths.begin(), demand.lengths.end());
  // A cache that grows holds up to twice what it needs.
  const std::int64_t each = 2 * model.cache(longest + demand.shared_tokens + demand.new_tokens);
  const std::int64_t count =
      std::clamp<std::int64_t>(spare / std::max<std::int64_t>(each, 1), 0, kMost);
  *bytes = count * each;
  return count;
}

}  // namespace

BatchMemory fit_batches(const Checkpoint& checkpoint, const DecoderOptions& options,
                        const BatchDemand& demand, const BatchLimits& wanted, std::int64_t budget) {
  const MemoryModel model(checkpoint, options);
  const std::int64_t held = anonymous_memory() + model.packed_weights();
  const auto predicted = [&](Pass pass, const BatchLimits& limits) {
    return held + peak_of(model, demand, pass, limits);
  };
  std::vector<Pass> passes = {demand.backward ? Pass::kBackward : Pass::kForward};
  if (demand.may_recompute) passes.push_back(Pass::kRecomputed);
  for (const Pass pass : passes) {
    BatchLimits limits = wanted;
    while (true) {
      const std::int64_t bytes = predicted(pass, limits);
      if (bytes <= budget) {
        std::int64_t caches = 0;
        if (demand.new_tokens > 0 && wanted.max_examples == 0 && !demand.lengths.empty()) {
          limits.side_by_side = texts_side_by_side(model, demand, budget - bytes, &caches);
        }
        if (pass == Pass::kRecomputed || demand.trains_weights) {
          return {limits, pass == Pass::kRecomputed, bytes + caches};
        }
        // Passes side by side are faster than one on all threads (base/workers.h).
        const std::int64_t each = bytes + caches - held;
        limits.workers = std::clamp<std::int64_t>((budget - held) / std::max<std::int64_t>(each, 1),
                                                  1, at::get_num_threads());
        return {limits, false, held + limits.workers * each};
      }
      if (limits.max_tokens <= 1) break;  // one example per batch, whatever its length
      limits.max_tokens /= 2;
    }
  }
  TN_CHECK(!demand.lengths.empty());
  const std::int64_t longest = *std::max_element(demand.lengths.begin(), demand.lengths.end());
  throw Error(
      fmt::format("{} of memory is too little: the longest example ({} tokens) alone needs {}; "
                  "raise `memory`, or cut examples with `max_length`",
                  format_bytes(budget), longest + demand.shared_tokens,
                  format_bytes(predicted(passes.back(), {0, 1}))));
}

std::int64_t default_memory_budget(const Checkpoint& checkpoint) {
  const std::int64_t available = available_memory() / world().place().local_size;
  const std::int64_t spare = available * 9 / 10 - checkpoint.tensor_bytes();
  return anonymous_memory() + std::max(spare, available / 3);
}

}  // namespace taskneuron

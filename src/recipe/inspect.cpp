#include "taskneuron/recipe/inspect.h"

#include <algorithm>

#include "model/memory.h"
#include "taskneuron/base/compute.h"
#include "taskneuron/recipe/locate_model.h"

namespace taskneuron {

void InspectOptions::declare(OptionList& list) {
  model.declare(list);
  list.add("batch_tokens", &batch_tokens, Effect::kNone, "Tokens per forward pass").at_least(1);
}

namespace {

PassShape typical_pass(const ModelConfig& config, std::int64_t tokens) {
  PassShape shape;
  shape.rows = tokens;
  shape.longest = std::min<std::int64_t>({256, config.max_positions, tokens});
  shape.examples = std::max<std::int64_t>(1, tokens / shape.longest);
  shape.logit_rows = 8 * shape.examples;
  return shape;
}

MemoryNeeded memory_needed(const MemoryModel& model, const PassShape& batch) {
  MemoryNeeded needed;
  needed.converted_weights = model.converted_weights();
  needed.packed_weights = model.packed_weights();
  const std::int64_t weights = needed.converted_weights + needed.packed_weights;
  needed.evaluate = weights + model.pass(Pass::kForward, batch);
  needed.detect = weights + model.pass(Pass::kBackward, batch);
  needed.detect_recomputing = weights + model.pass(Pass::kRecomputed, batch);
  return needed;
}

}  // namespace

InspectResult inspect(const InspectOptions& options) {
  check_declared(options);
  InspectResult found;
  found.folder = locate_model(options.model.model);
  const Checkpoint checkpoint = with_deltas(Checkpoint(found.folder.path), options.model.deltas);
  const at::Device device = parse_device(options.model.device);
  found.config = checkpoint.config();
  found.hash = checkpoint.hash();
  found.parameters = checkpoint.parameters();
  found.weight_bytes = checkpoint.tensor_bytes();
  found.dtype = choose_dtype(options.model.dtype, checkpoint, device);
  found.memory = memory_needed(MemoryModel(checkpoint, {found.dtype, device}),
                               typical_pass(found.config, options.batch_tokens));
  return found;
}

}  // namespace taskneuron

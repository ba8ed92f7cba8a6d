#include "recipe/continual_parts.h"

#include "taskneuron/base/error.h"

namespace taskneuron {

std::vector<PastStage> StageChain::past() const {
  std::vector<PastStage> past;
  for (const DoneStage& stage : stages_) past.push_back(stage.past);
  return past;
}

void StageChain::add(DoneStage stage) { stages_.push_back(std::move(stage)); }

Delta StageChain::delta(std::size_t stage, const Checkpoint& before) const {
  return load_delta(stages_[stage].folder / "training" / "delta.safetensors", before);
}

Checkpoint StageChain::start_of(std::size_t stage) const {
  const StagePlan& plan = stages_[stage].plan;
  if (plan.start_weights.empty()) {
    return after(plan.from_base ? -1 : static_cast<std::int64_t>(stage) - 1);
  }
  Answer answer;
  answer.weights = plan.start_weights;
  return model_of(answer);
}

Checkpoint StageChain::start_of(const StagePlan& plan) const {
  if (plan.start_weights.empty()) {
    return after(plan.from_base ? -1 : static_cast<std::int64_t>(stages_.size()) - 1);
  }
  Answer answer;
  answer.weights = plan.start_weights;
  return model_of(answer);
}

Checkpoint StageChain::after(std::int64_t stage) const {
  if (stage < 0) return session_.checkpoint();
  if (last_ && stage == last_stage_) return *last_;
  const auto at = static_cast<std::size_t>(stage);
  const Checkpoint before = start_of(at);
  const Checkpoint found = before.with_replaced(apply_deltas(before, {{delta(at, before), 1}}));
  last_ = found;
  last_stage_ = stage;
  return found;
}

const StageChange& StageChain::change(std::size_t stage) const {
  const auto known = changes_.find(stage);
  if (known != changes_.end()) return known->second;
  const Checkpoint before = start_of(stage);
  return changes_.emplace(stage, change_of(before, delta(stage, before))).first->second;
}

Checkpoint StageChain::model_of(const Answer& answer) const {
  if (answer.weights.empty()) return after(answer.stage);
  std::vector<StageChange> changes;
  for (std::size_t k = 0; k < answer.weights.size(); ++k) changes.push_back(change(k));
  return session_.checkpoint().with_replaced(
      combined(session_.checkpoint(), changes, answer.weights, parse_combine(answer.combine)));
}

}  // namespace taskneuron

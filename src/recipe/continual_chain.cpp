#include "recipe/continual_parts.h"

namespace taskneuron {

std::vector<PastStage> StageChain::past() const {
  std::vector<PastStage> past;
  for (const DoneStage& stage : stages_) past.push_back(stage.past);
  return past;
}

void StageChain::add(DoneStage stage) { stages_.push_back(std::move(stage)); }

Answer StageChain::start_of(const StagePlan& plan, std::size_t stage) {
  Answer answer;
  answer.weights = plan.start_weights;
  if (!plan.from_base) answer.stage = static_cast<std::int64_t>(stage) - 1;
  return answer;
}

Delta StageChain::delta(std::size_t stage, const Checkpoint& before) const {
  return load_delta(stages_[stage].folder / "training" / "delta.safetensors", before);
}

Checkpoint StageChain::before(std::size_t stage) const {
  return model_of(start_of(stages_[stage].plan, stage));
}

Checkpoint StageChain::after(std::int64_t stage) const {
  if (stage < 0) return session_.checkpoint();
  if (last_ && stage == last_stage_) return *last_;
  const auto at = static_cast<std::size_t>(stage);
  const Checkpoint started = before(at);
  const Checkpoint found = started.with_replaced(apply_deltas(started, {{delta(at, started), 1}}));
  last_ = found;
  last_stage_ = stage;
  return found;
}

const StageChange& StageChain::change(std::size_t stage) const {
  const auto known = changes_.find(stage);
  if (known != changes_.end()) return known->second;
  const Checkpoint started = before(stage);
  return changes_.emplace(stage, change_of(started, delta(stage, started))).first->second;
}

Checkpoint StageChain::model_of(const Answer& answer) const {
  if (answer.weights.empty()) return after(answer.stage);
  std::vector<StageChange> changes;
  for (std::size_t k = 0; k < answer.weights.size(); ++k) changes.push_back(change(k));
  return session_.checkpoint().with_replaced(
      combined(session_.checkpoint(), changes, answer.weights, parse_combine(answer.combine)));
}

std::shared_ptr<const Session> StageChain::session_of(const Answer& answer) const {
  // The base is the caller's.
  if (answer.weights.empty() && answer.stage < 0) return {std::shared_ptr<void>(), &session_};
  const bool known = answering_ && answer.stage == answer_.stage &&
                     answer.weights == answer_.weights && answer.combine == answer_.combine;
  if (!known) {
    answering_ = std::make_shared<const Session>(session_, model_of(answer));
    answer_ = answer;
  }
  return answering_;
}

}  // namespace taskneuron

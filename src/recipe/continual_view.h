#pragma once

#include "recipe/continual_parts.h"

namespace taskneuron {

// Relevance in a stage's folder: of a scorer, or of a probe.
inline constexpr const char* kScoresFile = "scores.safetensors";
inline constexpr const char* kProbeFile = "probe.safetensors";

// A stage that is being trained, as methods see it.
class ChainView : public StageView {
 public:
  // folder: of the stage. The chain holds the stages before it. Borrows everything.
  ChainView(StreamData& data, const StageChain& chain, const std::vector<StreamTask>& tasks,
            std::uint64_t seed, std::filesystem::path folder);

  std::size_t stage() const override { return chain_.stages().size(); }
  const std::vector<StreamTask>& tasks() const override { return tasks_; }
  std::uint64_t seed() const override { return seed_; }
  const std::vector<PastStage>& past() const override { return past_; }
  const Checkpoint& base() const override { return chain_.base().checkpoint(); }
  const Decoder& base_decoder() const override { return chain_.base().decoder(); }
  const Checkpoint& last() const override { return last_session().checkpoint(); }
  const Decoder& last_decoder() const override { return last_session().decoder(); }

  void start_from(const std::vector<double>& weights) override;
  SiteRelevance relevance(const MethodSettings& settings) override;
  SiteRelevance past_relevance(std::size_t stage) const override;
  double validation_loss(const NeuronSet& set, const MethodSettings& settings) override;
  std::vector<double> similarities(double temperature) override;
  UnitValues changes(std::size_t stage, const TrainableModel& model) override;
  UnitValues fisher(TrainableModel& model, std::int64_t rows) override;

  const Session& last_session() const { return *last_; }
  // From now on the last model is the one that this stage left.
  void finished(std::shared_ptr<const Session> after) { last_ = std::move(after); }
  // The model that a plan starts from.
  std::shared_ptr<const Session> start(const StagePlan& plan) const {
    return chain_.session_of(chain_.start_of(plan));
  }
  StreamData& data() const { return data_; }
  const StreamTask& task() const { return tasks_[stage()]; }
  double detection_seconds() const { return detection_seconds_; }

 private:
  at::Tensor probed(const MethodSettings& settings);

  StreamData& data_;
  const StageChain& chain_;
  const std::vector<StreamTask>& tasks_;
  std::uint64_t seed_;
  std::filesystem::path folder_;
  std::vector<PastStage> past_;
  std::shared_ptr<const Session> last_;
  double detection_seconds_ = 0;
};

// Trains a model in memory, without a folder: what is tried, not kept. Throws Interrupted once a
// signal asks for it.
void train_in_memory(TrainableModel& model, StreamData& data, const StreamTask& task,
                     const TrainOptions& options, const std::string& title);

// How a method's stages train, as options of train.
TrainOptions stage_train_options(const MethodSettings& settings, const StreamData& data,
                                 std::uint64_t seed);
// The rows that a plan trains on: the stage's own, and those of other tasks.
std::vector<EncodedTask> stage_rows(const StagePlan& plan, StreamData& data,
                                    const std::vector<StreamTask>& tasks, std::size_t position);

}  // namespace taskneuron

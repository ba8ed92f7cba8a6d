#pragma once

#include "continual/methods.h"

namespace taskneuron {

// Neuron-level continual fine-tuning: each stage trains the units that are found for its task in
// the model as it is then (method, "Question 3"), with the options that go beyond the paper.
class Ncft : public Method {
 public:
  // Throws UsageError for settings that do not fit each other.
  explicit Ncft(MethodSettings settings);

  bool finds_units() const override { return true; }
  bool validates() const override { return settings().top.size() > 1; }
  std::set<Kept> keeps() const override;
  std::set<Kept> keeps_once() const override;
  std::map<std::string, std::string> identity(std::size_t stage) const override;
  StagePlan plan(StageView& view) const override;
  std::vector<std::unique_ptr<StepTerm>> terms(StageView& view,
                                               const TrainableModel& model) const override;
  std::vector<at::Tensor> unit_rates(StageView& view, const TrainableModel& model) const override;

 protected:
  // Which units the stage trains, of those that are found.
  virtual NeuronSet chosen(StageView& view) const;
  // The top units by relevance, claims regarded.
  NeuronSet found(StageView& view, const std::string& top) const;
};

// The sets of earlier stages.
std::vector<const NeuronSet*> past_sets(const StageView& view);

}  // namespace taskneuron

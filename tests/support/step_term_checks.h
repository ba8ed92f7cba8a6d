#pragma once

#include "support/trained_model.h"
#include "train/training_state.h"

namespace taskneuron::test {

// A term asked by itself, outside of a trainer, of examples in one group.
class TermStep {
 public:
  TermStep(TrainableModel& model, const std::vector<AnswerExample>& examples)
      : model_(model), loss_(model, none_, {}) {
    PrefixGroup group;
    for (const AnswerExample& example : examples) group.examples.push_back(&example);
    if (!examples.empty()) groups_.push_back(std::move(group));
    weight_ = examples.empty() ? 0 : 1 / static_cast<double>(examples.size());
  }
  const std::vector<PrefixGroup>& groups() const { return groups_; }
  const ExampleLoss& loss() const { return loss_; }
  StepView view() const { return {model_, loss_, 1, groups_, weight_}; }

  // What it adds to the loss; its gradient alone is in the model's parameters.
  double add(StepTerm& term) const {
    for (const ParameterPtr& parameter : model_.parameters) parameter->clear_gradient();
    return term.add(view());
  }

 private:
  TrainableModel& model_;
  NeuronHook none_;
  ExampleLoss loss_;
  std::vector<PrefixGroup> groups_;
  double weight_ = 0;
};

inline TermState as_state(const NamedTensors& tensors) { return {tensors.begin(), tensors.end()}; }

// Whether a run that goes on from a checkpoint in the middle, with a model and a term made anew,
// ends with the bytes of one that never stopped. make_model, make_term: as before the first step;
// begun: prepares the term of a new run, not of a resumed one.
template <typename MakeModel, typename MakeTerm, typename Begun>
void expect_resumes(const TaskOnModel& train, const MakeModel& make_model,
                    const MakeTerm& make_term, const Begun& begun) {
  constexpr std::int64_t kSteps = 4, kStop = 2;
  const TemporaryFolder folder;
  const auto run = [&](bool resumed, std::int64_t last) {
    TrainableModel model = make_model();
    auto term = make_term(model);
    if (!resumed) begun(*term, model);
    TrainerOptions options = some_steps(kSteps, 3);
    options.terms = {term.get()};
    Trainer trainer(model, {{"task", train.examples, {}}}, options);
    TrainingState state;
    if (resumed) {
      EXPECT_TRUE(load_training_state(folder.path(), trainer, state));
    }
    double penalty = 0;
    for (std::int64_t step = state.step + 1; step <= last; ++step) {
      penalty = trainer.step(step).penalty.value();
    }
    state.step = last;
    if (last < kSteps) save_training_state(state, trainer, folder.path());
    return std::pair(copies_of(model.parameters, &Parameter::master), penalty);
  };
  const auto whole = run(false, kSteps);
  run(false, kStop);
  const auto resumed = run(true, kSteps);
  EXPECT_EQ(whole.second, resumed.second);
  for (std::size_t p = 0; p < whole.first.size(); ++p) {
    EXPECT_TRUE(at::equal(whole.first[p], resumed.first[p])) << p;
  }
}

}  // namespace taskneuron::test

// What joins a training step: what it sees, in which order, and what becomes of its gradient.
#include "taskneuron/train/step_term.h"

#include <cmath>
#include <limits>

#include "base/torch_compat.h"
#include "support/trained_model.h"
#include "taskneuron/base/error.h"

namespace taskneuron {
namespace {

using test::copies_of;
using test::end_to_end;
using test::every_third_unit;
using test::some_steps;
using test::TaskOnModel;

// Writes down what it is asked, in one list with others.
class Diary : public StepTerm {
 public:
  Diary(std::string name, std::vector<std::string>& entries)
      : name_(std::move(name)), entries_(entries) {}
  std::string name() const override { return name_; }
  void task_begins(const TaskView& view) override { write("begins " + view.tasks.at(0).name); }
  void task_ends(const TaskView& view) override { write("ends " + view.tasks.at(0).name); }
  std::vector<ExampleRef> share(std::vector<ExampleRef> examples) const override {
    write("share");
    return examples;
  }
  void reduce(StepSums&, TrainableModel&) override { write("reduce"); }
  double add(const StepView& step) override {
    write("add " + std::to_string(step.step));
    return 1;
  }

 private:
  void write(const std::string& entry) const { entries_.push_back(name_ + ": " + entry); }
  std::string name_;
  std::vector<std::string>& entries_;
};

TEST(StepTerms, AreAskedInTheirOrder) {
  const TaskOnModel train = end_to_end("gpt2");
  TrainableModel model = make_trainable(train.checkpoint, train.decoder,
                                        every_third_unit(train.checkpoint.config(), Site::kAct));
  std::vector<std::string> entries;
  Diary a("a", entries), b("b", entries);
  TrainerOptions options = some_steps(2, 2);
  options.terms = {&b, &a};
  Trainer trainer(model, {{"weather", train.examples, {}}}, options);
  EXPECT_EQ(trainer.step(1).penalty, 2);
  trainer.step(2);
  trainer.finish();
  EXPECT_EQ(entries,
            std::vector<std::string>({"b: begins weather", "a: begins weather", "b: share",
                                      "a: share", "b: reduce", "a: reduce", "b: add 1", "a: add 1",
                                      "b: share", "a: share", "b: reduce", "a: reduce", "b: add 2",
                                      "a: add 2", "b: ends weather", "a: ends weather"}));
  Diary twin("a", entries);
  options.terms = {&a, &twin};
  const std::string message = test::error_of([&] {
    Trainer(model, {{"weather", train.examples, {}}}, options);
  });
  EXPECT_NE(message.find("'a'"), std::string::npos) << message;
  options.terms = {};
  EXPECT_FALSE(Trainer(model, {{"weather", train.examples, {}}}, options).step(1).penalty);
}

// One everywhere, whatever the loss says, active or not.
class Flood : public StepTerm {
 public:
  explicit Flood(double value) : value_(value) {}
  std::string name() const override { return "flood"; }
  double add(const StepView& step) override {
    for (const ParameterPtr& parameter : step.model.parameters) parameter->gradient.fill_(value_);
    return penalty;
  }
  double penalty = 0;

 private:
  double value_;
};

TEST(StepTerms, UnitsThatAreNotActiveAreLeftAlone) {
  const TaskOnModel train = end_to_end("llama");
  TrainableOptions own, other, both;
  for (std::int64_t l = 0; l < train.checkpoint.config().layers; ++l) {
    own.units[Site::kAct].push_back({0, 2});
    other.units[Site::kAct].push_back({1});
    both.units[Site::kAct].push_back({0, 1, 2});
  }
  TrainableModel model = make_trainable(train.checkpoint, train.decoder, both);
  const std::vector<at::Tensor> before = copies_of(model.parameters, &Parameter::master);
  TrainerOptions options = some_steps(2, 4);
  options.sampling.one_task_per_step = true;
  Flood flood(1);
  options.terms = {&flood};
  Trainer trainer(model, {{"a", train.examples, own}, {"b", train.examples, other}}, options);
  const double norm = trainer.step(1).gradient_norm;
  std::int64_t moved = 0;
  for (std::size_t p = 0; p < before.size(); ++p) {
    moved += (model.parameters[p]->master != before[p]).sum().item<std::int64_t>();
    EXPECT_EQ(model.parameters[p]->gradient.abs().max().item<double>(), 0);
  }
  std::int64_t all = 0;
  for (const at::Tensor& master : before) all += master.numel();
  EXPECT_TRUE(moved == all / 3 || moved == all / 3 * 2) << moved << " of " << all;
  EXPECT_NEAR(norm, std::sqrt(static_cast<double>(moved)), 1e-3);
}

TEST(StepTerms, WhatIsNotFiniteFailsTheStepAndChangesNothing) {
  const TaskOnModel train = end_to_end("gpt2");
  TrainableModel model = make_trainable(train.checkpoint, train.decoder,
                                        every_third_unit(train.checkpoint.config(), Site::kAct));
  const at::Tensor before = model.parameters[0]->master.clone();
  for (const bool in_penalty : {false, true}) {
    const double bad = std::numeric_limits<double>::quiet_NaN();
    Flood flood(in_penalty ? 1 : bad);
    flood.penalty = in_penalty ? bad : 0;
    TrainerOptions options = some_steps(1, 2);
    options.terms = {&flood};
    Trainer trainer(model, {{"weather", train.examples, {}}}, options);
    const std::string message = test::error_of([&] { trainer.step(1); });
    EXPECT_NE(message.find(in_penalty ? "what 'flood' adds is not finite"
                                      : "the loss and what joins it is not finite"),
              std::string::npos)
        << message;
    EXPECT_TRUE(trainer.weights_gave_finite_loss());
    EXPECT_TRUE(at::equal(before, model.parameters[0]->master));
    EXPECT_EQ(model.parameters[0]->gradient.abs().max().item<double>(), 0);
  }
}

}  // namespace
}  // namespace taskneuron

// What terms to come need of a step: each is one of these in a few lines.
#include <condition_variable>
#include <mutex>
#include <thread>

#include "base/torch_compat.h"
#include "support/trained_model.h"
#include "taskneuron/train/l2_start.h"
#include "taskneuron/train/step_term.h"

namespace taskneuron {
namespace {

using test::copies_of;
using test::end_to_end;
using test::every_third_unit;
using test::Keep;
using test::some_steps;
using test::TaskOnModel;
using test::wide;

// A-GEM (Chaudhry et al. 2019): the gradient never points against that of stored examples.
class Projection : public StepTerm {
 public:
  explicit Projection(std::vector<AnswerExample> memory) : memory_(std::move(memory)) {}
  std::string name() const override { return "a-gem"; }
  double add(const StepView& step) override {
    const std::vector<ParameterPtr>& parameters = step.model.parameters;
    const std::vector<at::Tensor> own = copies_of(parameters, &Parameter::gradient);
    PrefixGroup stored;
    for (const AnswerExample& example : memory_) stored.examples.push_back(&example);
    for (const ParameterPtr& parameter : parameters) parameter->clear_gradient();
    step.loss.backward({stored}, 1.0 / static_cast<double>(memory_.size()));
    const std::vector<at::Tensor> theirs = copies_of(parameters, &Parameter::gradient);
    double product = 0, square = 0;
    for (std::size_t p = 0; p < own.size(); ++p) {
      product += (own[p] * theirs[p]).sum().item<double>();
      square += theirs[p].square().sum().item<double>();
    }
    const double share = std::min(product, 0.0) / square;
    after = 0;
    for (std::size_t p = 0; p < own.size(); ++p) {
      parameters[p]->gradient.copy_(own[p] - share * theirs[p]);
      after += (parameters[p]->gradient * theirs[p]).sum().item<double>();
    }
    before = product;
    return 0;
  }
  double before = 0, after = 0;

 private:
  std::vector<AnswerExample> memory_;
};

TEST(StepTerms, MayProjectTheGradientByThatOfOtherExamples) {
  const TaskOnModel train = wide("gpt2");
  // The same prompts with another answer pull the other way.
  std::vector<AnswerExample> memory(train.examples.begin(), train.examples.begin() + 2);
  for (AnswerExample& example : memory) {
    example.ids[example.ids.size() - static_cast<std::size_t>(example.answer_tokens)] ^= 1;
  }
  const std::vector<AnswerExample> own(train.examples.begin(), train.examples.begin() + 2);
  TrainableModel model = make_trainable(train.checkpoint, train.decoder,
                                        every_third_unit(train.checkpoint.config(), Site::kAct));
  Projection projection(memory);
  TrainerOptions options = some_steps(30, 2);
  options.schedule.learning_rate = 0.02;
  options.terms = {&projection};
  Trainer trainer(model, {{"task", own, {}}}, options);
  int projected = 0;
  for (std::int64_t step = 1; step <= 30; ++step) {
    trainer.step(step);
    if (projection.before >= 0) continue;
    ++projected;
    EXPECT_TRUE(std::abs(projection.after) <= 1e-9) << projection.after;
  }
  EXPECT_GT(projected, 0);
}

// A second pass over the step's own examples, as distillation makes one.
class SecondPass : public StepTerm {
 public:
  std::string name() const override { return "second-pass"; }
  double add(const StepView& step) override {
    double sum = 0;
    for (const Batch& batch : step.loss.batches(step.examples, step.weight)) {
      const at::Tensor features = step.model.decoder.features(batch, step.loss.hook());
      const at::Tensor loss = step.model.decoder.target_loss(features, batch);
      sum += loss.item<double>();
      loss.backward();
    }
    return sum;
  }
};

TEST(StepTerms, MaySeeTheStepsExamplesAgain) {
  const TaskOnModel train = wide("llama");
  TrainableModel model = make_trainable(train.checkpoint, train.decoder,
                                        every_third_unit(train.checkpoint.config(), Site::kAct));
  Keep first, second;
  SecondPass again;
  TrainerOptions options = some_steps(1, 5);
  options.limits.max_tokens = 100;
  // Before and after: names must differ, so the second is wrapped under another one.
  class Later : public StepTerm {
   public:
    explicit Later(Keep& keep) : keep_(keep) {}
    std::string name() const override { return "later"; }
    double add(const StepView& step) override { return keep_.add(step); }

   private:
    Keep& keep_;
  } later(second);
  options.terms = {&first, &again, &later};
  Trainer trainer(model, {{"task", train.examples, {}}}, options);
  const StepResult result = trainer.step(1);
  EXPECT_NEAR(*result.penalty, result.loss, 1e-9);
  for (std::size_t p = 0; p < first.gradients.size(); ++p) {
    EXPECT_CLOSE(second.gradients[p], first.gradients[p] * 2, 1e-9);
  }
}

// ---- several processes, as threads ----

// Where two meet: each leaves tensors and takes the sum of both.
class Meeting {
 public:
  std::vector<at::Tensor> sum(int who, std::vector<at::Tensor> own) {
    std::unique_lock<std::mutex> lock(mutex_);
    left_[who] = std::move(own);
    const int round = round_;
    if (++here_ == 2) {
      sums_.clear();
      for (std::size_t i = 0; i < left_[0].size(); ++i) sums_.push_back(left_[0][i] + left_[1][i]);
      here_ = 0;
      ++round_;
      both_.notify_all();
    } else {
      both_.wait(lock, [&] { return round_ != round; });
    }
    return sums_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable both_;
  std::vector<at::Tensor> left_[2], sums_;
  int here_ = 0, round_ = 0;
};

class AllReduce : public StepTerm {
 public:
  AllReduce(Meeting& meeting, int rank) : meeting_(meeting), rank_(rank) {}
  std::string name() const override { return "all-reduce"; }
  std::vector<ExampleRef> share(std::vector<ExampleRef> examples) const override {
    std::vector<ExampleRef> own;
    for (std::size_t i = static_cast<std::size_t>(rank_); i < examples.size(); i += 2) {
      own.push_back(examples[i]);
    }
    return own;
  }
  void reduce(StepSums& sums, TrainableModel& model) override {
    std::vector<at::Tensor> own = copies_of(model.parameters, &Parameter::gradient);
    own.push_back(at::tensor({sums.loss, static_cast<double>(sums.tokens)}, at::kDouble));
    const std::vector<at::Tensor> all = meeting_.sum(rank_, std::move(own));
    for (std::size_t p = 0; p < model.parameters.size(); ++p) {
      model.parameters[p]->gradient.copy_(all[p]);
    }
    sums.loss = all.back()[0].item<double>();
    sums.tokens = all.back()[1].item<std::int64_t>();
  }
  double add(const StepView&) override { return 0; }

 private:
  Meeting& meeting_;
  int rank_;
};

TEST(StepTerms, ProcessesThatShareAStepTrainAsOne) {
  const TaskOnModel train = end_to_end("llama");
  TrainableOptions everything;
  everything.part = TrainedPart::kAll;
  const auto make = [&] { return make_trainable(train.checkpoint, train.decoder, everything); };
  TrainableModel alone = make(), parts[2] = {make(), make()};
  Trainer single(alone, {{"task", train.examples, {}}}, some_steps(3, 5));
  std::vector<StepResult> wanted, found[2];
  for (std::int64_t step = 1; step <= 3; ++step) wanted.push_back(single.step(step));
  Meeting meeting;
  const auto work = [&](int rank) {
    AllReduce reduce(meeting, rank);
    L2Start l2(1e-9);
    TrainerOptions options = some_steps(3, 5);
    options.terms = {&reduce, &l2};
    Trainer trainer(parts[rank], {{"task", train.examples, {}}}, options);
    for (std::int64_t step = 1; step <= 3; ++step) found[rank].push_back(trainer.step(step));
  };
  std::thread other(work, 1);
  work(0);
  other.join();
  for (std::size_t step = 0; step < 3; ++step) {
    for (const auto& own : found) {
      EXPECT_NEAR(own[step].loss, wanted[step].loss, 1e-4);
      EXPECT_EQ(own[step].tokens, wanted[step].tokens);
    }
    EXPECT_EQ(found[0][step].gradient_norm, found[1][step].gradient_norm);
  }
  for (std::size_t p = 0; p < alone.parameters.size(); ++p) {
    EXPECT_TRUE(at::equal(parts[0].parameters[p]->master, parts[1].parameters[p]->master));
  }
}

}  // namespace
}  // namespace taskneuron

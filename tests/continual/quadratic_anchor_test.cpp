// Elastic weight consolidation: the penalty of several tasks from its sums, and the Fisher
// information that it weighs with.
#include "taskneuron/continual/quadratic_anchor.h"

#include <cmath>
#include <limits>

#include "base/torch_compat.h"
#include "support/step_term_checks.h"
#include "taskneuron/base/error.h"
#include "taskneuron/continual/fisher.h"

namespace taskneuron {
namespace {

using test::copies_of;
using test::end_to_end;
using test::every_third_unit;
using test::TaskOnModel;
using test::TermStep;
using test::wide;

constexpr double kLambda = 0.7;

TrainableOptions everything() {
  TrainableOptions options;
  options.part = TrainedPart::kAll;
  return options;
}

// Something not negative, with zeros in it.
UnitValues some_fisher(const TrainableModel& model) {
  UnitValues fisher;
  for (const ParameterPtr& parameter : model.parameters) {
    fisher.put(*parameter, at::randn_like(parameter->master).clamp_min(0));
  }
  return fisher;
}

// What a task left, to write its penalty out.
struct Remembered {
  std::vector<at::Tensor> fisher, weights;
};

Remembered remember(QuadraticAnchor& anchor, TrainableModel& model) {
  test::perturb(model.parameters, 0.1);
  const UnitValues fisher = some_fisher(model);
  anchor.remember(model, fisher);
  Remembered task;
  for (const ParameterPtr& parameter : model.parameters) {
    task.fisher.push_back(fisher.of(*parameter));
  }
  task.weights = copies_of(model.parameters, &Parameter::master);
  return task;
}

double written_out(const TrainableModel& model, const std::vector<Remembered>& tasks) {
  double sum = 0;
  for (const Remembered& task : tasks) {
    for (std::size_t p = 0; p < task.weights.size(); ++p) {
      const at::Tensor moved = model.parameters[p]->master - task.weights[p];
      sum += (task.fisher[p] * moved * moved).sum().item<double>();
    }
  }
  return kLambda / 2 * sum;
}

TEST(QuadraticAnchor, SumsGiveThePenaltyWrittenOutTaskByTask) {
  const TaskOnModel train = wide("llama");
  for (const TrainableOptions& options :
       {everything(), every_third_unit(train.checkpoint.config(), Site::kAct)}) {
    at::manual_seed(3);
    TrainableModel model = make_trainable(train.checkpoint, train.decoder, options);
    const TermStep step(model, {});
    QuadraticAnchor anchor(kLambda);
    EXPECT_EQ(step.add(anchor), 0);
    std::vector<Remembered> tasks;
    for (int k = 0; k < 3; ++k) {
      tasks.push_back(remember(anchor, model));
      test::perturb(model.parameters, 0.1);
      const double expected = written_out(model, tasks), found = step.add(anchor);
      EXPECT_TRUE(std::abs(found - expected) <= 1e-11 * expected) << found << " " << expected;
      const auto gradients = copies_of(model.parameters, &Parameter::gradient);
      for (std::size_t p = 0; p < gradients.size(); ++p) {
        test::check_slope(*model.parameters[p], gradients[p],
                          [&] { return written_out(model, tasks); });
      }
    }
  }
}

TEST(QuadraticAnchor, KeepsAPenaltyThatPlainSumsOfFloat32WouldLose) {
  const TaskOnModel train = end_to_end("llama");
  at::manual_seed(6);
  TrainableModel model = make_trainable(train.checkpoint, train.decoder,
                                        every_third_unit(train.checkpoint.config(), Site::kAct));
  QuadraticAnchor anchor(kLambda);
  std::vector<Remembered> tasks;
  const auto nudge = [&] {
    for (const ParameterPtr& parameter : model.parameters) {
      parameter->master.add_(at::randn_like(parameter->master), 1e-5);
    }
  };
  for (const ParameterPtr& parameter : model.parameters) parameter->master.fill_(1);
  for (int k = 0; k < 2; ++k) {
    nudge();
    const UnitValues fisher = some_fisher(model);
    anchor.remember(model, fisher);
    Remembered& task = tasks.emplace_back();
    for (const ParameterPtr& parameter : model.parameters) {
      task.fisher.push_back(fisher.of(*parameter).to(at::kDouble));
      task.weights.push_back(parameter->master.to(at::kDouble, false, true));
    }
  }
  nudge();
  const double expected = written_out(model, tasks), found = TermStep(model, {}).add(anchor);
  EXPECT_TRUE(std::abs(found - expected) <= 0.01 * expected) << found << " " << expected;
}

TEST(QuadraticAnchor, TasksMayTrainDifferentUnits) {
  const TaskOnModel train = wide("llama");
  at::manual_seed(8);
  TrainableOptions first, second, later;
  for (std::int64_t l = 0; l < train.checkpoint.config().layers; ++l) {
    first.units[Site::kAct].push_back({0, 2});
    second.units[Site::kAct].push_back({2, 3});
    later.units[Site::kAct].push_back({0, 2, 3, 5});
  }
  const auto make = [&](const TrainableOptions& options) {
    return make_trainable(train.checkpoint, train.decoder, options);
  };
  TrainableModel one = make(first), two = make(second), three = make(later);
  QuadraticAnchor anchor(kLambda);
  const Remembered a = remember(anchor, one), b = remember(anchor, two);
  test::perturb(three.parameters, 0.1);
  double sum = 0;
  for (std::size_t p = 0; p < three.parameters.size(); ++p) {
    const at::Tensor master = three.parameters[p]->master;
    const auto of = [&](const Remembered& task, std::int64_t row, std::int64_t at_row) {
      const at::Tensor moved = master[at_row] - task.weights[p][row];
      return (task.fisher[p][row] * moved * moved).sum().item<double>();
    };
    sum += of(a, 0, 0) + of(a, 1, 1) + of(b, 0, 1) + of(b, 1, 2);
  }
  const double found = TermStep(three, {}).add(anchor);
  EXPECT_TRUE(std::abs(found - kLambda / 2 * sum) <= 1e-11 * found) << found << " " << sum;
  for (const ParameterPtr& parameter : three.parameters) {
    EXPECT_EQ(parameter->gradient[3].abs().max().item<double>(), 0);
    EXPECT_GT(parameter->gradient[1].abs().max().item<double>(), 0);
  }
}

TEST(QuadraticAnchor, ResumesToTheSameBytes) {
  const TaskOnModel train = end_to_end("llama");
  test::expect_resumes(
      train,
      [&] {
        return make_trainable(train.checkpoint, train.decoder,
                              every_third_unit(train.checkpoint.config(), Site::kAct));
      },
      [](const TrainableModel&) { return std::make_unique<QuadraticAnchor>(kLambda); },
      [](QuadraticAnchor& anchor, TrainableModel& model) {
        at::manual_seed(5);
        const auto start = copies_of(model.parameters, &Parameter::master);
        remember(anchor, model);
        remember(anchor, model);
        for (std::size_t p = 0; p < start.size(); ++p) {
          model.parameters[p]->master.copy_(start[p]);
          model.parameters[p]->store();
        }
      });
}

TEST(QuadraticAnchor, StateThatDoesNotFitIsNamed) {
  const TaskOnModel train = end_to_end("llama");
  TrainableModel model = make_trainable(train.checkpoint, train.decoder,
                                        every_third_unit(train.checkpoint.config(), Site::kAct));
  QuadraticAnchor anchor(kLambda);
  remember(anchor, model);
  const std::string key = model.parameters.front()->key();
  const auto problem = [&](const std::string& name, const at::Tensor& tensor) {
    TermState state = test::as_state(anchor.state());
    if (tensor.defined()) {
      state[name] = tensor;
    } else {
      state.erase(name);
    }
    return test::error_of([&] { QuadraticAnchor(kLambda).restore(state, model); });
  };
  EXPECT_NE(problem("spread", {}).find("'spread'"), std::string::npos);
  EXPECT_NE(problem("stray", at::ones({1})).find("'stray'"), std::string::npos);
  EXPECT_NE(problem("anchor." + key + ".values", {}).find(key), std::string::npos);
  TermState state = test::as_state(anchor.state());
  state.erase("anchor." + key + ".values");
  state.erase("anchor." + key + ".units");
  EXPECT_NE(
      test::error_of([&] { QuadraticAnchor(kLambda).restore(state, model); }).find("'" + key + "'"),
      std::string::npos);
  UnitValues bad = some_fisher(model);
  at::Tensor values = at::zeros_like(model.parameters.front()->master);
  values.view({-1})[0] = std::numeric_limits<double>::quiet_NaN();
  bad.put(*model.parameters.front(), values);
  EXPECT_NE(test::error_of([&] { anchor.remember(model, bad); }).find(key), std::string::npos);
}

TEST(Fisher, IsTheMeanSquareOfEachExamplesGradient) {
  const TaskOnModel train = wide("llama");
  TrainableModel model = make_trainable(train.checkpoint, train.decoder,
                                        every_third_unit(train.checkpoint.config(), Site::kAct));
  std::vector<AnswerExample> examples(train.examples.begin(), train.examples.begin() + 3);
  // Answers of several lengths.
  examples[1].answer_tokens += 2;
  NeuronHook none;
  const ExampleLoss loss(model, none, {});
  PrefixGroup two, one;
  two.prefix_tokens = 3;
  two.examples = {&examples[0], &examples[1]};
  one.examples = {&examples[2]};
  std::int64_t done = 0, tokens = 0;
  for (const ParameterPtr& parameter : model.parameters) {
    parameter->clear_gradient();
    parameter->gradient.fill_(7);  // is not counted
  }
  const UnitValues fisher =
      diagonal_fisher(model, loss, {two, one}, [&](std::int64_t more, std::int64_t more_tokens) {
        done += more;
        tokens += more_tokens;
      });
  EXPECT_EQ(done, 3);
  std::int64_t all = 0;
  for (const AnswerExample& example : examples)
    all += static_cast<std::int64_t>(example.ids.size());
  EXPECT_EQ(tokens, all);
  // The log-likelihood of an answer by itself, and its slope along single weights.
  const auto likelihood = [&](const AnswerExample& example) {
    const at::NoGradGuard no_gradients;
    Batch batch = answer_batch({&example});
    for (Target& target : batch.targets) target.weight = -1;
    return model.decoder.target_loss(model.decoder.features(batch, none), batch).item<double>();
  };
  constexpr double kStep = 1e-5;
  for (const ParameterPtr& parameter : model.parameters) {
    EXPECT_EQ(parameter->gradient.abs().max().item<double>(), 0);
    const at::Tensor found = fisher.of(*parameter).view({-1});
    const at::Tensor weights = parameter->master.view({-1});
    if (weights.numel() == 0) continue;
    const std::int64_t i = found.argmax().item<std::int64_t>();
    const double start = weights[i].item<double>();
    double mean = 0;
    for (const AnswerExample& example : examples) {
      const auto at_distance = [&](double distance) {
        weights[i] = start + distance;
        parameter->store();
        return likelihood(example);
      };
      const double slope = (at_distance(kStep) - at_distance(-kStep)) / (2 * kStep);
      mean += slope * slope / 3;
      at_distance(0);
    }
    const double value = found[i].item<double>();
    EXPECT_TRUE(std::abs(value - mean) <= 1e-5 * mean) << parameter->key() << value << " " << mean;
  }
}

TEST(Fisher, WhatIsNotFiniteIsNamedAndGradientsAreCleared) {
  const TaskOnModel train = end_to_end("llama");
  TrainableModel model = make_trainable(train.checkpoint, train.decoder, everything());
  NeuronHook none;
  const ExampleLoss loss(model, none, {});
  PrefixGroup group;
  group.examples = {&train.examples[0]};
  for (const ParameterPtr& parameter : model.parameters) {
    parameter->master.fill_(std::numeric_limits<double>::quiet_NaN());
    parameter->store();
  }
  const std::string message = test::error_of(
      [&] { diagonal_fisher(model, loss, {group}, [](std::int64_t, std::int64_t) {}); });
  EXPECT_NE(message.find("example 1"), std::string::npos) << message;
  for (const ParameterPtr& parameter : model.parameters) {
    EXPECT_EQ(parameter->gradient.abs().max().item<double>(), 0);
  }
}

}  // namespace
}  // namespace taskneuron

// Learning rates of units: factors of the run's.
#include <cmath>

#include "base/torch_compat.h"
#include "support/trained_model.h"

namespace taskneuron {
namespace {

using test::copies_of;
using test::end_to_end;
using test::every_third_unit;
using test::TaskOnModel;

// What training steps make of a model: its masters, with these factors for its parameters.
template <typename Factors>
std::vector<at::Tensor> trained(const TaskOnModel& train, const TrainableOptions& options,
                                const Factors& factors, std::int64_t steps = 3) {
  TrainableModel model = make_trainable(train.checkpoint, train.decoder, options);
  TrainerOptions settings = test::some_steps(steps, 3);
  settings.adamw.weight_decay = 0.1;
  Trainer trainer(model, {{"task", train.examples, {}}}, settings);
  std::vector<at::Tensor> rates;
  for (const ParameterPtr& parameter : model.parameters) rates.push_back(factors(*parameter));
  trainer.optimizer().set_unit_rates(rates);
  for (std::int64_t step = 1; step <= steps; ++step) trainer.step(step);
  return copies_of(model.parameters, &Parameter::master);
}

std::int64_t units_of(const Parameter& parameter) {
  return parameter.units.defined() ? parameter.units.numel() : 1;
}

std::vector<TrainableOptions> kinds(const TaskOnModel& train) {
  TrainableOptions all;
  all.part = TrainedPart::kAll;
  return {every_third_unit(train.checkpoint.config(), Site::kAct), all};
}

TEST(UnitRates, OneEverywhereGivesTheSameBytes) {
  const TaskOnModel train = end_to_end("llama");
  for (const TrainableOptions& options : kinds(train)) {
    const auto plain = trained(train, options, [](const Parameter&) { return at::Tensor(); });
    const auto ones =
        trained(train, options, [](const Parameter& p) { return at::ones({units_of(p)}); });
    for (std::size_t p = 0; p < plain.size(); ++p) EXPECT_TRUE(at::equal(plain[p], ones[p])) << p;
  }
}

// The first step from one place: w' = w (1 − lr f decay) − lr f · what Adam makes of the gradient.
TEST(UnitRates, MultiplyAUnitsStepAndItsDecay) {
  const TaskOnModel train = test::wide("llama");
  for (const TrainableOptions& options : kinds(train)) {
    const TrainableModel model = make_trainable(train.checkpoint, train.decoder, options);
    const auto factors = [](const Parameter& p) {
      return at::arange(units_of(p), at::kDouble).remainder(3) * 0.75;  // 0, 0.75, 1.5
    };
    const auto plain = trained(
        train, options, [](const Parameter&) { return at::Tensor(); }, 1);
    const auto scaled = trained(train, options, factors, 1);
    for (std::size_t p = 0; p < plain.size(); ++p) {
      const Parameter& parameter = *model.parameters[p];
      if (parameter.numel() == 0) continue;
      std::vector<std::int64_t> shape(static_cast<std::size_t>(plain[p].dim()), 1);
      shape[0] = units_of(parameter);
      const at::Tensor step = (plain[p] - parameter.master) * factors(parameter).view(shape);
      EXPECT_TRUE((scaled[p] - parameter.master - step).abs().max().item<double>() <= 1e-12)
          << parameter.key();
      EXPECT_TRUE(at::equal(scaled[p][0], parameter.master[0])) << parameter.key();  // factor 0
    }
  }
}

TEST(UnitRates, FollowUnitsThatAreActive) {
  const TaskOnModel train = end_to_end("llama");
  TrainableOptions both, own;
  for (std::int64_t l = 0; l < train.checkpoint.config().layers; ++l) {
    both.units[Site::kAct].push_back({0, 1, 2});
    own.units[Site::kAct].push_back({1, 2});
  }
  TrainableModel model = make_trainable(train.checkpoint, train.decoder, both);
  const auto before = copies_of(model.parameters, &Parameter::master);
  TrainerOptions settings = test::some_steps(1, 3);
  settings.sampling.one_task_per_step = true;
  Trainer trainer(model, {{"task", train.examples, own}}, settings);
  trainer.optimizer().set_unit_rates(
      std::vector<at::Tensor>(before.size(), at::tensor({1.0, 1.0, 0.0})));
  trainer.step(1);
  for (std::size_t p = 0; p < before.size(); ++p) {
    const at::Tensor& master = model.parameters[p]->master;
    EXPECT_TRUE(at::equal(master[0], before[p][0]));  // not active
    EXPECT_FALSE(at::equal(master[1], before[p][1]));
    EXPECT_TRUE(at::equal(master[2], before[p][2]));  // factor 0
  }
}

}  // namespace
}  // namespace taskneuron

// The gradient of a unit that earlier tasks changed has nothing along what they did to it.
#include "taskneuron/continual/unit_projection.h"

#include <cmath>

#include "base/torch_compat.h"
#include "support/step_term_checks.h"

namespace taskneuron {
namespace {

using test::copies_of;
using test::TaskOnModel;

// Options for units of every layer, at the default site.
TrainableOptions units_of(const TaskOnModel& train, const std::vector<std::int64_t>& units) {
  TrainableOptions options;
  for (std::int64_t l = 0; l < train.checkpoint.config().layers; ++l) {
    options.units[Site::kAct].push_back(units);
  }
  return options;
}

// A task's changes at units of its own.
UnitValues changes_of(const TaskOnModel& train, const std::vector<std::int64_t>& units) {
  const TrainableModel model =
      make_trainable(train.checkpoint, train.decoder, units_of(train, units));
  UnitValues changes;
  for (const ParameterPtr& parameter : model.parameters) {
    changes.put(*parameter, at::randn_like(parameter->master) * 1e-3);
  }
  return changes;
}

// Gives the term a gradient to project.
void project(UnitProjection& term, TrainableModel& model) {
  const std::vector<PrefixGroup> none;
  NeuronHook hook;
  const ExampleLoss loss(model, hook, {});
  for (const ParameterPtr& parameter : model.parameters) {
    parameter->gradient = at::randn_like(parameter->master);
  }
  EXPECT_EQ(term.add({model, loss, 1, none, 0}), 0);
}

TEST(UnitProjection, LeavesAGradientOrthogonalToEachDirectionAndOtherUnitsUntouched) {
  for (const at::ScalarType type : {at::kDouble, at::kFloat}) {
    const std::filesystem::path folder = test::fixtures() / "end_to_end" / "gpt2";
    const TaskOnModel train(folder / "model", folder / "task", "train", 0, type);
    const double tolerance = type == at::kDouble ? 1e-12 : 1e-5;
    at::manual_seed(7);
    const std::vector<UnitValues> directions = {
        changes_of(train, {1, 2, 9}), changes_of(train, {2, 3}), changes_of(train, {2, 11})};
    TrainableModel model =
        make_trainable(train.checkpoint, train.decoder, units_of(train, {0, 2, 3, 5}));
    UnitProjection term(directions);
    at::manual_seed(8);
    project(term, model);
    const auto projected = copies_of(model.parameters, &Parameter::gradient);
    at::manual_seed(8);
    for (std::size_t p = 0; p < projected.size(); ++p) {
      const Parameter& parameter = *model.parameters[p];
      const at::Tensor plain = at::randn_like(parameter.master);
      for (const std::int64_t row : {0, 3}) EXPECT_TRUE(at::equal(projected[p][row], plain[row]));
      at::Tensor removed = plain - projected[p];
      for (const UnitValues& task : directions) {
        const at::Tensor direction = task.of_or_zero(parameter);
        for (std::int64_t row = 0; row < 4; ++row) {
          const double scale = direction[row].norm().item<double>();
          const double along = (direction[row] * projected[p][row]).sum().item<double>();
          EXPECT_TRUE(std::abs(along) <= tolerance * scale) << parameter.key() << row;
        }
      }
      // A projection: what it took is orthogonal to what it left, and it took no more than that.
      if (plain.dim() < 2) continue;
      EXPECT_NEAR((removed * projected[p]).sum().item<double>(), 0, tolerance * 100);
      const at::Tensor one = directions[1].of_or_zero(parameter)[2];
      EXPECT_CLOSE(removed[2], one * ((one * plain[2]).sum() / one.square().sum()), tolerance * 10);
    }
    EXPECT_TRUE(projected[0].dim() < 2 || projected[0][1].abs().max().item<double>() > 1e-3);
  }
}

TEST(UnitProjection, DirectionsThatAreZeroOrDependentAreDropped) {
  const TaskOnModel train = test::wide("llama");
  at::manual_seed(7);
  const UnitValues first = changes_of(train, {2}), second = changes_of(train, {2});
  TrainableModel model = make_trainable(train.checkpoint, train.decoder, units_of(train, {2, 3}));
  UnitValues again, none, nearly;
  for (const ParameterPtr& parameter : model.parameters) {
    again.put(*parameter, first.of_or_zero(*parameter) * -3 + second.of_or_zero(*parameter));
    none.put(*parameter, at::zeros_like(parameter->master));
    nearly.put(*parameter,
               first.of_or_zero(*parameter) * (1 + 1e-9 * at::randn_like(parameter->master)));
  }
  std::vector<at::Tensor> found[2];
  for (const bool more : {false, true}) {
    std::vector<UnitValues> directions = {first, second};
    if (more) directions = {none, first, nearly, second, again, UnitValues()};
    UnitProjection term(directions);
    at::manual_seed(9);
    project(term, model);
    found[more] = copies_of(model.parameters, &Parameter::gradient);
  }
  for (std::size_t p = 0; p < found[0].size(); ++p) EXPECT_CLOSE(found[1][p], found[0][p], 1e-6);
}

TEST(UnitProjection, FollowsTheModelItIsAskedAbout) {
  const TaskOnModel train = test::wide("llama");
  at::manual_seed(7);
  UnitProjection term({changes_of(train, {2})});
  for (const std::vector<std::int64_t>& units : {std::vector<std::int64_t>{2, 3}, {1, 2}, {4, 5}}) {
    TrainableModel model = make_trainable(train.checkpoint, train.decoder, units_of(train, units));
    at::manual_seed(9);
    project(term, model);
    at::manual_seed(9);
    for (const ParameterPtr& parameter : model.parameters) {
      const at::Tensor plain = at::randn_like(parameter->master);
      for (std::size_t row = 0; row < 2; ++row) {
        const auto r = static_cast<std::int64_t>(row);
        EXPECT_EQ(at::equal(plain[r], parameter->gradient[r]), units[row] != 2);
      }
    }
  }
}

TEST(UnitProjection, ResumesToTheSameBytes) {
  const TaskOnModel train = test::end_to_end("llama");
  at::manual_seed(7);
  const std::vector<UnitValues> directions = {changes_of(train, {0, 2}), changes_of(train, {2, 5})};
  test::expect_resumes(
      train,
      [&] {
        return make_trainable(train.checkpoint, train.decoder, units_of(train, {0, 2, 4}));
      },
      [&](const TrainableModel&) { return std::make_unique<UnitProjection>(directions); },
      [](UnitProjection&, TrainableModel&) {});
}

}  // namespace
}  // namespace taskneuron

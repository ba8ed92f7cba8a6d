#include "taskneuron/analysis/affinity.h"

#include <algorithm>
#include <cmath>

#include "support/trained_model.h"

namespace taskneuron {
namespace {

using Units = std::vector<std::int64_t>;
using Vector = std::vector<double>;

Vector numbers(const at::Tensor& tensor) {
  const at::Tensor wide = tensor.to(at::kDouble).contiguous().view(-1);
  return {wide.data_ptr<double>(), wide.data_ptr<double>() + wide.numel()};
}

double cosine(const Vector& x, const Vector& y) {
  double xy = 0, xx = 0, yy = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    xy += x[i] * y[i];
    xx += x[i] * x[i];
    yy += y[i] * y[i];
  }
  return xy / std::sqrt(xx * yy);
}

NeuronSet every_nth_unit(const ModelConfig& config, std::int64_t n, std::int64_t from) {
  NeuronSet set;
  set.sites[Site::kAct].width = config.ffn_width;
  for (std::int64_t layer = 0; layer < config.layers; ++layer) {
    Units& units = set.sites[Site::kAct].units.emplace_back();
    for (std::int64_t unit = from; layer > 0 && unit < config.ffn_width; unit += n) {
      units.push_back(unit);
    }
  }
  return set;
}

std::vector<GradientTask> three_tasks(const test::TaskOnModel& model) {
  std::vector<GradientTask> tasks;
  const std::size_t third = std::min<std::size_t>(4, model.examples.size() / 3);
  for (std::size_t t = 0; t < 3; ++t) {
    const auto begin = model.examples.begin() + static_cast<std::ptrdiff_t>(t * third);
    tasks.push_back({"task" + std::to_string(t),
                     {begin, begin + static_cast<std::ptrdiff_t>(third)},
                     every_nth_unit(model.checkpoint.config(), 3 + static_cast<std::int64_t>(t),
                                    static_cast<std::int64_t>(t))});
  }
  return tasks;
}

// Gradient of the mean loss by layer: the whole FFN trains, example by example, and what `act`
// does not own (the output projection's bias) is left out.
struct PlainGradient {
  std::vector<Vector> layers;
  std::vector<Vector> own;  // over the units of a set
  double loss = 0;
};

// chosen: the set whose units `own` holds.
PlainGradient plain_gradient(const test::TaskOnModel& on, const GradientTask& task,
                             const NeuronSet& chosen) {
  TrainableOptions options;
  options.part = TrainedPart::kFeedForward;
  TrainableModel model = make_trainable(on.checkpoint, on.decoder, options);
  for (const ParameterPtr& parameter : model.parameters) parameter->clear_gradient();
  NeuronHook no_hook;
  const ExampleLoss loss(model, no_hook, {{1, 4096}, 1, false});
  PlainGradient result;
  const double weight = 1 / static_cast<double>(task.examples.size());
  for (const AnswerExample& example : task.examples) {
    result.loss += loss.backward({{{&example}, 0}}, weight);
  }
  const auto layers = static_cast<std::size_t>(on.checkpoint.config().layers);
  result.layers.resize(layers);
  result.own.resize(layers);
  for (const ParameterPtr& parameter : model.parameters) {
    const bool down = parameter->tensor.find("c_proj") != std::string::npos ||
                      parameter->tensor.find("down_proj") != std::string::npos ||
                      parameter->tensor.find("4h_to_h") != std::string::npos;
    const bool bias = parameter->tensor.find(".bias") != std::string::npos;
    if (down && bias) continue;
    for (std::size_t layer = 0; layer < layers; ++layer) {
      if (parameter->tensor.find("." + std::to_string(layer) + ".") == std::string::npos) continue;
      // Whole matrices lie as [out, in]: units are rows of W1 and columns of W2.
      const at::Tensor by_unit = down ? parameter->gradient.t() : parameter->gradient;
      const Vector all = numbers(by_unit);
      const Vector some = numbers(
          by_unit.index_select(0, at::tensor(chosen.sites.at(Site::kAct).units[layer], at::kLong)));
      result.layers[layer].insert(result.layers[layer].end(), all.begin(), all.end());
      result.own[layer].insert(result.own[layer].end(), some.begin(), some.end());
    }
  }
  return result;
}

Vector joined(const std::vector<Vector>& parts) {
  Vector all;
  for (const Vector& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

class GradientAgreementOf : public testing::TestWithParam<std::string> {};

TEST_P(GradientAgreementOf, IsThatOfGradientsFormedExampleByExample) {
  const test::TaskOnModel on = test::wide(GetParam());
  const std::vector<GradientTask> tasks = three_tasks(on);
  GradientOptions options;
  double shares = 0;
  options.progress = [&](double share) { shares += share; };
  const GradientAgreement found = gradient_agreement(on.checkpoint, on.decoder, tasks, options);
  EXPECT_NEAR(shares, 1, 1e-12);
  EXPECT_EQ(found.layers_at_a_time, on.checkpoint.config().layers);
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    const PlainGradient source = plain_gradient(on, tasks[i], tasks[i].units);
    EXPECT_NEAR(found.losses[i], source.loss, 1e-9);
    for (std::size_t j = 0; j < tasks.size(); ++j) {
      const PlainGradient target = plain_gradient(on, tasks[j], tasks[i].units);
      EXPECT_NEAR(found.all[i][j].all.value(), cosine(joined(source.layers), joined(target.layers)),
                  1e-9);
      EXPECT_NEAR(found.own[i][j].all.value(), cosine(joined(source.own), joined(target.own)),
                  1e-9);
      for (std::size_t layer = 0; layer < source.layers.size(); ++layer) {
        EXPECT_NEAR(found.all[i][j].layers[layer].value(),
                    cosine(source.layers[layer], target.layers[layer]), 1e-9);
        // No set has units in the first layer.
        EXPECT_EQ(found.own[i][j].layers[layer].has_value(), layer > 0);
        if (layer == 0) continue;
        EXPECT_NEAR(*found.own[i][j].layers[layer], cosine(source.own[layer], target.own[layer]),
                    1e-9);
      }
    }
  }

  options.gradient_bytes = 1;
  options.progress = {};
  const GradientAgreement by_layer = gradient_agreement(on.checkpoint, on.decoder, tasks, options);
  EXPECT_EQ(by_layer.layers_at_a_time, 1);
  EXPECT_NEAR(by_layer.all[0][1].all.value(), found.all[0][1].all.value(), 1e-9);
  EXPECT_NEAR(by_layer.own[1][2].all.value(), found.own[1][2].all.value(), 1e-9);
}

INSTANTIATE_TEST_SUITE_P(Families, GradientAgreementOf, testing::Values("gpt2", "llama", "bloom"));

TEST(SignedAgreement, IsOverTheUnitsOfEitherSet) {
  const auto scores = [](const std::vector<double>& sums, std::int64_t examples) {
    Scores result;
    result.sites[Site::kAct].signed_sum = at::tensor(sums, at::kDouble).view({2, 4});
    result.examples = result.denominator = examples;
    return result;
  };
  const auto set = [](Units first, Units second) {
    NeuronSet result;
    result.sites[Site::kAct] = {4, {std::move(first), std::move(second)}};
    return result;
  };
  const Scores a = scores({1, 2, 3, 100, 5, 6, 7, 8}, 2),
               b = scores({1, -2, 3, 100, 5, 5, 7, 8}, 5);
  const SignedAgreement found = signed_agreement(a, set({0, 1}, {1}), b, set({1, 2}, {}));
  EXPECT_NEAR(found.cosine.value(), cosine({1, 2, 3, 6}, {1, -2, 3, 5}), 1e-12);
  EXPECT_NEAR(found.correlation.value(), cosine({-2, -1, 0, 3}, {-0.75, -3.75, 1.25, 3.25}), 1e-12);
  EXPECT_FALSE(
      signed_agreement(scores({0, 0, 0, 0, 0, 0, 0, 0}, 2), set({0}, {}), b, set({1}, {})).cosine);
}

TEST(Affinity, TakesAsManyLayersAtATimeAsFit) {
  const test::TaskOnModel on = test::wide("llama");
  const ModelConfig& config = on.checkpoint.config();
  const std::int64_t layer = layer_gradient_bytes(config);
  EXPECT_EQ(layer, 4 * 3 * config.hidden * config.ffn_width);
  EXPECT_EQ(layers_at_a_time(config, 7, 1), 1);
  EXPECT_EQ(layers_at_a_time(config, 7, 20 * layer), 2);
  EXPECT_EQ(layers_at_a_time(config, 7, 1000 * layer), config.layers);
}

}  // namespace
}  // namespace taskneuron

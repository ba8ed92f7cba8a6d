// Gradients that a step forms beside the plain loss's: of a penalty, and of a masked model.
#include "taskneuron/train/l2_start.h"

#include <cmath>

#include "base/torch_compat.h"
#include "support/trained_model.h"
#include "taskneuron/model/hook_chain.h"
#include "taskneuron/neuron/neuron_set.h"

namespace taskneuron {
namespace {

using test::copies_of;
using test::every_third_unit;
using test::Keep;
using test::low_rank;
using test::some_steps;
using test::TaskOnModel;
using test::wide;

// Mean example loss of a model over all examples.
double mean_loss(const Decoder& decoder, const std::vector<AnswerExample>& examples,
                 NeuronHook& hook) {
  const at::NoGradGuard no_gradients;
  std::vector<const AnswerExample*> all;
  for (const AnswerExample& example : examples) all.push_back(&example);
  const Batch batch = answer_batch(all);
  return decoder.target_loss(decoder.features(batch, hook), batch).item<double>() /
         static_cast<double>(examples.size());
}

std::vector<AnswerExample> few(const TaskOnModel& train) {
  return {train.examples.begin(), train.examples.begin() + 3};
}

TEST(L2Start, GradientAgreesWithFiniteDifferences) {
  const TaskOnModel train = wide("llama");
  const std::vector<AnswerExample> examples = few(train);
  TrainableOptions all;
  all.part = TrainedPart::kAll;
  for (const TrainableOptions& options :
       {every_third_unit(train.checkpoint.config(), Site::kAct), all, low_rank(1)}) {
    at::manual_seed(4);
    TrainableModel model = make_trainable(train.checkpoint, train.decoder, options);
    test::perturb(model.parameters, 0.02);
    const std::vector<at::Tensor> start = copies_of(model.parameters, &Parameter::master);
    constexpr double kLambda = 0.7;
    L2Start l2(kLambda);
    Keep keep;
    TrainerOptions settings = some_steps(2, static_cast<std::int64_t>(examples.size()));
    settings.terms = {&l2, &keep};
    Trainer trainer(model, {{"task", examples, {}}}, settings);
    EXPECT_EQ(trainer.step(1).penalty, 0);
    test::perturb(model.parameters, 0.02);
    const std::vector<at::Tensor> before = copies_of(model.parameters, &Parameter::master);
    const StepResult result = trainer.step(2);
    NeuronHook none;
    for (std::size_t p = 0; p < before.size(); ++p) {
      model.parameters[p]->master.copy_(before[p]);
      model.parameters[p]->store();
    }
    const auto penalty = [&] {
      double sum = 0;
      for (std::size_t p = 0; p < start.size(); ++p) {
        sum += (model.parameters[p]->master - start[p]).square().sum().item<double>();
      }
      return kLambda / 2 * sum;
    };
    EXPECT_NEAR(result.loss, mean_loss(model.decoder, examples, none), 1e-9);
    EXPECT_NEAR(*result.penalty, penalty(), 1e-9);
    EXPECT_GT(*result.penalty, 1e-3);
    for (std::size_t p = 0; p < before.size(); ++p) {
      test::check_slope(*model.parameters[p], keep.gradients[p],
                        [&] { return mean_loss(model.decoder, examples, none) + penalty(); });
    }
  }
}

TEST(Trainer, TrainsUnderAMaskWithTheMaskedModelsGradient) {
  const TaskOnModel train = wide("llama");
  const std::vector<AnswerExample> examples = few(train);
  const ModelConfig& config = train.checkpoint.config();
  NeuronSet half, off;
  half.sites[Site::kAct] = {config.ffn_width, {}};
  off.sites[Site::kUp] = {config.ffn_width, {}};
  for (std::int64_t l = 0; l < config.layers; ++l) {
    half.sites[Site::kAct].units.push_back({1, 2, 3});
    off.sites[Site::kUp].units.push_back({3, 4, 7});
  }
  SetHook scaled(half, 0.5), masked(off, 0);
  HookChain mask({&scaled, &masked});
  TrainableOptions everything;
  everything.part = TrainedPart::kAll;
  for (const bool recompute : {false, true}) {
    at::manual_seed(9);
    TrainableModel model = make_trainable(train.checkpoint, train.decoder, everything);
    Keep keep;
    TrainerOptions settings = some_steps(1, static_cast<std::int64_t>(examples.size()));
    settings.terms = {&keep};
    settings.hook = &mask;
    settings.recompute = recompute;
    settings.schedule.learning_rate = 1e-30;
    Trainer trainer(model, {{"task", examples, {}}}, settings);
    const double loss = trainer.step(1).loss;
    NeuronHook none;
    EXPECT_NEAR(loss, mean_loss(model.decoder, examples, mask), 1e-9);
    EXPECT_GT(std::abs(loss - mean_loss(model.decoder, examples, none)), 1e-6);
    for (std::size_t p = 0; p < keep.gradients.size(); ++p) {
      test::check_slope(*model.parameters[p], keep.gradients[p],
                        [&] { return mean_loss(model.decoder, examples, mask); });
    }
  }
}

}  // namespace
}  // namespace taskneuron

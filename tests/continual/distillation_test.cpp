// Learning without forgetting: the divergence from the earlier model and its gradient.
#include "taskneuron/continual/distillation.h"

#include <cmath>

#include "base/torch_compat.h"
#include "support/step_term_checks.h"

namespace taskneuron {
namespace {

using test::copies_of;
using test::every_third_unit;
using test::TaskOnModel;
using test::TermStep;
using test::wide;

constexpr double kLambda = 0.7, kTemperature = 2;

// By the definition: example by example, answer position by answer position. float64 up to the
// logits, which Decoder::logits gives in float32: good for 1e-6 or so.
double by_definition(const Decoder& teacher, const Decoder& student,
                     const std::vector<AnswerExample>& examples) {
  const at::NoGradGuard no_gradients;
  NeuronHook none;
  double sum = 0;
  for (const AnswerExample& example : examples) {
    const Batch batch = answer_batch({&example});
    const auto logs = [&](const Decoder& decoder) {
      const at::Tensor logits = decoder.logits(decoder.features(batch, none)).to(at::kDouble);
      return at::log_softmax(logits / kTemperature, -1);
    };
    const at::Tensor p = logs(teacher), q = logs(student);
    EXPECT_EQ(p.size(0), example.answer_tokens);
    double mean = 0;
    for (std::int64_t i = 0; i < p.size(0); ++i) {
      mean += (p[i].exp() * (p[i] - q[i])).sum().item<double>() / static_cast<double>(p.size(0));
    }
    sum += mean;
  }
  return kLambda * kTemperature * kTemperature * sum / static_cast<double>(examples.size());
}

TEST(Distillation, IsTheDivergenceByItsDefinitionWithItsGradient) {
  for (const std::string family : {"llama", "gpt2"}) {
    const TaskOnModel train = wide(family);
    std::vector<AnswerExample> examples(train.examples.begin(), train.examples.begin() + 2);
    examples[1].answer_tokens += 2;
    TrainableOptions all;
    all.part = TrainedPart::kAll;
    // Everything that is trained somewhere, and each family once.
    std::vector<TrainableOptions> kinds = {all};
    if (family == "llama") {
      kinds = {every_third_unit(train.checkpoint.config(), Site::kAct), test::low_rank(1)};
    }
    for (const TrainableOptions& options : kinds) {
      at::manual_seed(4);
      TrainableModel model = make_trainable(train.checkpoint, train.decoder, options);
      const TermStep step(model, examples);
      Distillation term(train.decoder, {kLambda, kTemperature});
      EXPECT_NEAR(step.add(term), 0, 1e-12);
      test::perturb(model.parameters, 0.1);
      const double found = step.add(term);
      EXPECT_GT(found, 1e-4);
      EXPECT_NEAR(found, by_definition(train.decoder, model.decoder, examples), 1e-5 * found);
      const auto gradients = copies_of(model.parameters, &Parameter::gradient);
      for (std::size_t p = 0; p < gradients.size(); ++p) {
        test::check_slope(*model.parameters[p], gradients[p], [&] { return step.add(term); });
      }
    }
  }
}

// What a trainer cuts into passes, with a shared prefix, is the same step.
TEST(Distillation, DoesNotDependOnHowExamplesArePacked) {
  const TaskOnModel train = wide("llama");
  double penalties[2];
  std::vector<at::Tensor> gradients[2];
  for (const bool cut : {false, true}) {
    at::manual_seed(4);
    TrainableModel model = make_trainable(train.checkpoint, train.decoder,
                                          every_third_unit(train.checkpoint.config(), Site::kAct));
    test::perturb(model.parameters, 0.1);
    Distillation term(train.decoder, {kLambda, kTemperature});
    test::Keep keep;
    TrainerOptions options = test::some_steps(1, 5);
    options.share_prefix = cut;
    if (cut) options.limits.max_tokens = 100;
    options.terms = {&term, &keep};
    Trainer trainer(model, {{"task", train.examples, {}}}, options);
    penalties[cut] = trainer.step(1).penalty.value();
    gradients[cut] = keep.gradients;
  }
  EXPECT_NEAR(penalties[0], penalties[1], 1e-9 * penalties[0]);
  for (std::size_t p = 0; p < gradients[0].size(); ++p) {
    if (gradients[0][p].numel() > 0) EXPECT_CLOSE(gradients[1][p], gradients[0][p], 1e-9);
  }
}

TEST(Distillation, ResumesToTheSameBytes) {
  const TaskOnModel train = test::end_to_end("llama");
  test::expect_resumes(
      train,
      [&] {
        return make_trainable(train.checkpoint, train.decoder,
                              every_third_unit(train.checkpoint.config(), Site::kAct));
      },
      [&](const TrainableModel&) {
        return std::make_unique<Distillation>(train.decoder,
                                              DistillationOptions{kLambda, kTemperature});
      },
      [](Distillation&, TrainableModel&) {});
}

}  // namespace
}  // namespace taskneuron

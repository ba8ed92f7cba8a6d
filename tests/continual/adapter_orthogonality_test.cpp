// O-LoRA's penalty against loops over its entries.
#include "taskneuron/continual/adapter_orthogonality.h"

#include <cmath>

#include "base/torch_compat.h"
#include "support/step_term_checks.h"

namespace taskneuron {
namespace {

using test::copies_of;
using test::low_rank;
using test::TaskOnModel;
using test::TermStep;

constexpr double kLambda = 0.5;

// A third model on two frozen ones.
TrainableModel stacked(const TaskOnModel& train, std::vector<AdapterPtr> earlier = {}) {
  TrainableOptions options = low_rank(1);
  for (const std::int64_t rank : {3, 2}) {
    options.lora.rank = rank;
    options.earlier_adapters = earlier;
    TrainableModel model = make_trainable(train.checkpoint, train.decoder, options);
    test::perturb(model.parameters, 0.05);
    earlier = model.adapters;
  }
  options.lora.rank = 4;
  options.lora.targets = {"query", "value", "up"};
  options.earlier_adapters = earlier;
  TrainableModel model = make_trainable(train.checkpoint, train.decoder, options);
  test::perturb(model.parameters, 0.05);
  return model;
}

double by_loops(const TrainableModel& model, AdapterPenalty penalty) {
  double sum = 0;
  for (const AdapterPtr& own : model.adapters) {
    for (const AdapterPtr& earlier : model.adapters) {
      if (own->frozen || !earlier->frozen || own->a->tensor != earlier->a->tensor) continue;
      const at::Tensor a = own->a->master, b = earlier->a->master;
      for (std::int64_t i = 0; i < a.size(0); ++i) {
        for (std::int64_t j = 0; j < b.size(0); ++j) {
          double entry = 0;
          for (std::int64_t k = 0; k < a.size(1); ++k) {
            entry += a[i][k].item<double>() * b[j][k].item<double>();
          }
          sum += penalty == AdapterPenalty::kAbsolute ? std::abs(entry) : entry * entry;
        }
      }
    }
  }
  return kLambda * sum;
}

TEST(AdapterOrthogonality, IsTheSumOverEntriesWithItsGradient) {
  const TaskOnModel train = test::wide("llama");
  at::manual_seed(2);
  for (const AdapterPenalty penalty : {AdapterPenalty::kAbsolute, AdapterPenalty::kSquare}) {
    TrainableModel model = stacked(train);
    const std::size_t frozen = model.adapters.size() - model.parameters.size() / 2;
    EXPECT_GT(frozen, model.parameters.size() / 2);
    AdapterOrthogonality term(kLambda, penalty);
    const TermStep step(model, {});
    const double found = step.add(term), expected = by_loops(model, penalty);
    EXPECT_GT(expected, 0.01);
    EXPECT_TRUE(std::abs(found - expected) <= 1e-12 * expected) << found << " " << expected;
    const auto gradients = copies_of(model.parameters, &Parameter::gradient);
    std::size_t pushed = 0;
    for (std::size_t p = 0; p < gradients.size(); ++p) {
      pushed += gradients[p].abs().max().item<double>() > 0 ? 1 : 0;
      test::check_slope(*model.parameters[p], gradients[p], [&] { return step.add(term); });
    }
    EXPECT_EQ(pushed, gradients.size() / 2);  // every A, no B
    for (const AdapterPtr& adapter : model.adapters) {
      EXPECT_EQ(adapter->frozen, !adapter->a->gradient.defined());
    }
  }
}

TEST(AdapterOrthogonality, WithoutEarlierAdaptersItAddsNothing) {
  const TaskOnModel train = test::end_to_end("llama");
  TrainableModel model = make_trainable(train.checkpoint, train.decoder, low_rank(1));
  AdapterOrthogonality term(kLambda, AdapterPenalty::kAbsolute);
  EXPECT_EQ(TermStep(model, {}).add(term), 0);
  for (const ParameterPtr& parameter : model.parameters) {
    EXPECT_EQ(parameter->gradient.abs().max().item<double>(), 0);
  }
}

TEST(AdapterOrthogonality, ResumesToTheSameBytes) {
  const TaskOnModel train = test::end_to_end("llama");
  test::expect_resumes(
      train,
      [&] {
        at::manual_seed(2);
        return stacked(train);
      },
      [](const TrainableModel&) {
        return std::make_unique<AdapterOrthogonality>(kLambda, AdapterPenalty::kAbsolute);
      },
      [](AdapterOrthogonality&, TrainableModel&) {});
}

}  // namespace
}  // namespace taskneuron

// Earlier adapters under what is trained: they act, and nothing trains them.
#include "base/torch_compat.h"
#include "model/kernels/dispatch.h"
#include "model/weights.h"
#include "support/support.h"
#include "support/trained_model.h"
#include "taskneuron/train/certificate.h"
#include "taskneuron/train/delta.h"

namespace taskneuron {
namespace {

using test::low_rank;

struct Stack {
  explicit Stack(const std::string& family)
      : checkpoint(test::fixtures() / "hf_parity" / family),
        decoder(checkpoint, {at::kDouble, at::kCPU}) {
    at::manual_seed(11);
    std::vector<test::TokenExample> examples;
    for (std::int64_t e = 0; e < 3; ++e) {
      test::TokenExample& example = examples.emplace_back();
      for (std::int64_t i = 0; i < 6 + e; ++i) {
        example.ids.push_back((7 * i + 3 * e + 1) % checkpoint.config().vocabulary);
      }
      example.answer_tokens = 2;
    }
    batch = test::answer_batch(examples);
  }
  // One more model on top of adapters, all of them somewhere in general.
  TrainableModel on_top(TrainableOptions options, const std::vector<AdapterPtr>& earlier) const {
    options.earlier_adapters = earlier;
    TrainableModel model = make_trainable(checkpoint, decoder, options);
    test::perturb(model.parameters, 0.05);
    return model;
  }
  at::Tensor total(const Decoder& model) const {
    return model.target_loss(model.features(batch, none), batch);
  }
  double loss(const Decoder& model) const {
    const at::NoGradGuard no_gradients;
    return total(model).item<double>();
  }
  // The same model with weights that hold everything that was trained.
  double merged_loss(const TrainableModel& model) const {
    const test::TemporaryFolder folder;
    SaveOptions save;
    for (const auto& [name, tensor] : trained_tensors(checkpoint, model)) {
      at::Tensor merged = checkpoint.tensor(name).to(at::kDouble, false, true);
      merged.index_copy_(tensor.axis, tensor.units, tensor.value);
      save.replaced[name] = merged.to(at::kFloat);
    }
    save_model(checkpoint, folder / "merged", save);
    const Checkpoint written(folder / "merged");
    return loss(Decoder(written, {at::kDouble, at::kCPU}));
  }

  Checkpoint checkpoint;
  Decoder decoder;
  Batch batch;
  mutable NeuronHook none;  // outlives every backward pass
};

class StackedAdapters : public ::testing::TestWithParam<std::tuple<std::string, bool>> {
 protected:
  StackedAdapters() { kernels::enable(std::get<1>(GetParam())); }
  ~StackedAdapters() override { kernels::enable(true); }
};

TEST_P(StackedAdapters, GradientsAgreeWithFiniteDifferences) {
  const Stack stack(std::get<0>(GetParam()));
  const TrainableModel first = stack.on_top(low_rank(1), {});
  const TrainableModel second = stack.on_top(low_rank(2), first.adapters);
  for (const TrainableOptions& options :
       {low_rank(3), test::every_third_unit(stack.checkpoint.config(), Site::kAct)}) {
    const TrainableModel model = stack.on_top(options, second.adapters);
    for (const ParameterPtr& parameter : model.parameters) parameter->clear_gradient();
    stack.total(model.decoder).backward();
    std::int64_t frozen = 0;
    for (const AdapterPtr& adapter : model.adapters) {
      EXPECT_EQ(adapter->frozen, !adapter->a->gradient.defined());
      EXPECT_EQ(adapter->frozen, !adapter->b->gradient.defined());
      frozen += adapter->frozen ? 1 : 0;
    }
    EXPECT_EQ(frozen, static_cast<std::int64_t>(second.adapters.size()));
    for (const ParameterPtr& parameter : model.parameters) {
      test::check_slope(*parameter, parameter->gradient, [&] { return stack.loss(model.decoder); });
    }
  }
}

TEST_P(StackedAdapters, ActAsTheMergedWeightsDo) {
  const Stack stack(std::get<0>(GetParam()));
  const TrainableModel first = stack.on_top(low_rank(1), {});
  const double alone = stack.loss(first.decoder);
  EXPECT_NEAR(alone, stack.merged_loss(first), 1e-5);
  TrainableModel second = stack.on_top(low_rank(2), first.adapters);
  EXPECT_GT(std::abs(stack.loss(second.decoder) - alone), 1e-4);
  EXPECT_NEAR(stack.loss(second.decoder), stack.merged_loss(second), 1e-5);
  const TrainableModel units =
      stack.on_top(test::every_third_unit(stack.checkpoint.config(), Site::kAct), second.adapters);
  EXPECT_NEAR(stack.loss(units.decoder), stack.merged_loss(units), 1e-5);
  // A new adapter's B is zero: at first nothing changes. The earlier model may go on meanwhile.
  TrainableOptions options = low_rank(4);
  options.earlier_adapters = second.adapters;
  const TrainableModel third = make_trainable(stack.checkpoint, stack.decoder, options);
  const double before = stack.loss(second.decoder);
  EXPECT_EQ(stack.loss(third.decoder), before);
  test::perturb(second.parameters, 0.1);
  EXPECT_EQ(stack.loss(third.decoder), before);
}

INSTANTIATE_TEST_SUITE_P(Families, StackedAdapters,
                         ::testing::Combine(::testing::Values("gpt2", "llama_gqa_bias", "phi3",
                                                              "bloom"),
                                            ::testing::Bool()));

TEST(EarlierAdapters, OfAnotherModelAreRefusedByName) {
  const Stack gpt2("gpt2"), bloom("bloom");
  const TrainableModel first = gpt2.on_top(low_rank(1), {});
  const std::string message = test::error_of([&] { bloom.on_top(low_rank(1), first.adapters); });
  EXPECT_NE(message.find(first.adapters.front()->tensor), std::string::npos) << message;
  auto wide = std::make_shared<Adapter>(*first.adapters.front());
  wide->a = std::make_shared<Parameter>(*wide->a);
  wide->a->master = at::zeros({2, 5});
  const std::string shape = test::error_of([&] { gpt2.on_top(low_rank(1), {wide}); });
  EXPECT_NE(shape.find("turns 5 inputs"), std::string::npos) << shape;
}

}  // namespace
}  // namespace taskneuron

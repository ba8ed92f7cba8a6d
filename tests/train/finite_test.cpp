// What training does with numbers that are not finite: it keeps them out of everything.
#include <limits>

#include "base/torch_compat.h"
#include "support/support.h"
#include "support/task_on_model.h"
#include "taskneuron/train/certificate.h"
#include "taskneuron/train/delta.h"
#include "taskneuron/train/trainer.h"

namespace taskneuron {
namespace {

using test::end_to_end;
using test::TaskOnModel;

TEST(Trainer, UpdateThatIsNotFiniteChangesNothing) {
  const TaskOnModel train = end_to_end("gpt2");
  TrainableOptions all;
  all.part = TrainedPart::kAll;
  TrainableModel model = make_trainable(train.checkpoint, train.decoder, all);
  TrainerOptions options;
  options.schedule.learning_rate = 1e38;
  options.schedule.steps = 1;
  options.sampling.batch = 2;
  Trainer trainer(model, {{"weather", train.examples, {}}}, options);
  std::vector<at::Tensor> before;
  for (const ParameterPtr& parameter : model.parameters) {
    before.push_back(parameter->master.clone());
  }
  const std::string message = test::error_of([&] { trainer.step(1); });
  EXPECT_NE(message.find("step 1: the updated weights are not finite"), std::string::npos)
      << message;
  EXPECT_TRUE(trainer.weights_gave_finite_loss());
  const auto weights = named_weights(model.decoder);
  for (std::size_t p = 0; p < before.size(); ++p) {
    EXPECT_TRUE(at::equal(before[p], model.parameters[p]->master));
    EXPECT_TRUE(trainer.optimizer().states()[p].first.eq(0).all().item<bool>());
    EXPECT_TRUE(trainer.optimizer().states()[p].updates.eq(0).all().item<bool>());
  }
  for (const auto& [name, tensor] : weights) {
    EXPECT_TRUE(at::isfinite(tensor).all().item<bool>()) << name;
  }
}

// The squares of such gradients overflow in the second moment alone.
TEST(AdamW, MomentThatIsNotFiniteIsRefused) {
  const auto parameter = std::make_shared<Parameter>();
  parameter->master = at::ones({4});
  AdamW optimizer({parameter}, {});
  parameter->gradient.fill_(1e18);
  optimizer.step(1e-3, 1, 2e18);
  parameter->gradient.fill_(1e25);
  const at::Tensor before = parameter->master.clone();
  EXPECT_NE(test::error_of([&] { optimizer.step(1e-3, 1, 2e25); }), "");
  EXPECT_TRUE(at::equal(before, parameter->master));
  EXPECT_EQ(optimizer.states()[0].updates.item<std::int64_t>(), 1);
  EXPECT_TRUE(at::isfinite(optimizer.states()[0].second).all().item<bool>());
}

TEST(Delta, ValuesThatAreNotFiniteAreNotWritten) {
  const TaskOnModel train = end_to_end("gpt2");
  TrainableOptions all;
  all.part = TrainedPart::kFeedForward;
  TrainableModel model = make_trainable(train.checkpoint, train.decoder, all);
  Delta delta = make_delta(train.checkpoint, model);
  delta.tensors.begin()->second.value.view({-1})[0] = std::numeric_limits<float>::infinity();
  const test::TemporaryFolder folder;
  const std::string message = test::error_of([&] { save_delta(delta, folder / "d.safetensors"); });
  EXPECT_NE(message.find(delta.tensors.begin()->first), std::string::npos) << message;
  EXPECT_FALSE(std::filesystem::exists(folder / "d.safetensors"));
}

}  // namespace
}  // namespace taskneuron

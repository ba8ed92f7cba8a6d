#include "taskneuron/continual/features.h"

#include <gtest/gtest.h>

#include "base/torch_compat.h"
#include "taskneuron/checkpoint/checkpoint.h"

namespace taskneuron {
namespace {

TEST(Features, AreMeansOfFinalHiddenStatesWhateverTheBatch) {
  const Checkpoint checkpoint(std::string(TASKNEURON_FIXTURES) + "/hf_parity/llama");
  const Decoder decoder(checkpoint, {at::kFloat, at::kCPU});
  const std::vector<std::vector<std::int64_t>> prompts = {{5, 9, 2}, {7}, {3, 3, 8, 1, 4}};
  const auto features = [&](std::int64_t max_examples) {
    BatchLimits limits;
    limits.max_examples = max_examples;
    std::int64_t done = 0;
    const at::Tensor found =
        prompt_features(decoder, prompts, limits, [&](std::int64_t n, std::int64_t) { done += n; });
    EXPECT_EQ(done, 3);
    return found;
  };
  const at::Tensor alone = features(1), together = features(3);
  EXPECT_TRUE(at::allclose(alone, together, 1e-5, 1e-6));
  // By the decoder's steps: every row's features, then their mean.
  Batch batch;
  batch.ids = prompts[2];
  batch.positions = {0, 1, 2, 3, 4};
  Segment segment;
  segment.end = segment.logit_rows = 5;
  batch.segments = {segment};
  batch.examples = batch.sequences = 1;
  NeuronHook none;
  EXPECT_TRUE(at::allclose(alone[2], decoder.features(batch, none).mean(0), 1e-5, 1e-6));
}

TEST(Features, SoftmaxAddsUpAndFollowsTheTemperature) {
  const std::vector<double> even = softmax({1, 1}, 1);
  EXPECT_NEAR(even[0], 0.5, 1e-12);
  const std::vector<double> sharp = softmax({1, 0.9}, 0.01);
  EXPECT_NEAR(sharp[0], 1 / (1 + std::exp(-10.0)), 1e-9);
  EXPECT_NEAR(sharp[0] + sharp[1], 1, 1e-12);
}

TEST(Features, RoutesGoToTheNearestClass) {
  at::manual_seed(1);
  const at::Tensor a = at::randn({40, 6}) + 4, b = at::randn({40, 6}) - 4;
  const at::Tensor test = at::cat({a.slice(0, 0, 3) + 0.1, b.slice(0, 0, 2) + 0.1});
  const std::vector<std::size_t> wanted = {0, 0, 0, 1, 1};
  EXPECT_EQ(nearest_stored(test, {stored_features(a, 4), stored_features(b, 4)}), wanted);
  EXPECT_EQ(nearest_gaussian(test, {a, b}), wanted);
  // Fewer rows than dimensions, and rows that are all one: still defined.
  EXPECT_EQ(nearest_gaussian(test, {a.slice(0, 0, 2), b.slice(0, 0, 2)}), wanted);
  EXPECT_EQ(nearest_gaussian(test, {at::ones({2, 6}), -at::ones({2, 6})}), wanted);
  // Mahalanobis, not Euclid: a direction of large variance counts little.
  const at::Tensor wide = at::cat({at::randn({200, 1}) * 100, at::randn({200, 1})}, 1);
  const at::Tensor up = wide + at::tensor({0.0f, 5.0f}), down = wide - at::tensor({0.0f, 5.0f});
  EXPECT_EQ(
      nearest_gaussian(at::tensor({150.0f, 4.0f, -150.0f, -4.0f}).reshape({2, 2}), {up, down}),
      (std::vector<std::size_t>{0, 1}));
}

}  // namespace
}  // namespace taskneuron

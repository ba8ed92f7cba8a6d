// The CPU's loops against LibTorch's own operations, with every instruction set that this machine
// has. Whole models and gradients are decoder_test's and scorer_test's business.
#include "model/kernels/dispatch.h"

#include <cmath>

#include "model/attention.h"
#include "model/batch_plan.h"
#include "model/expert.h"
#include "model/loss.h"
#include "model/matrix_product.h"
#include "model/operations.h"
#include "support/support.h"
#include "taskneuron/neuron/scorer.h"

namespace taskneuron {
namespace {

class Loops : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (!kernels::use_instruction_set(GetParam())) GTEST_SKIP() << "not on this processor";
  }
  void TearDown() override {
    kernels::enable(true);
    for (const char* best : {"generic", "avx2", "avx512", "avx512bf16"}) {
      kernels::use_instruction_set(best);
    }
  }
  // What `run` returns on the loops and on LibTorch's operations.
  template <typename Run>
  static void compare(const Run& run, double tolerance) {
    const std::vector<at::Tensor> loops = run();
    kernels::enable(false);
    const std::vector<at::Tensor> expected = run();
    kernels::enable(true);
    ASSERT_EQ(loops.size(), expected.size());
    for (std::size_t i = 0; i < loops.size(); ++i) {
      SCOPED_TRACE(i);
      EXPECT_CLOSE(loops[i], expected[i], tolerance);
    }
  }
};

// Widths around whole vectors.
constexpr std::int64_t kWidths[] = {1, 7, 16, 40, 129};

at::Tensor random(std::int64_t rows, std::int64_t width, at::ScalarType type = at::kFloat) {
  return at::randn({rows, width}, at::kDouble).to(type);
}

TEST_P(Loops, NormsAndTheirGradients) {
  at::manual_seed(1);
  for (const std::int64_t width : kWidths) {
    for (const NormKind kind : {NormKind::kLayerNorm, NormKind::kRmsNorm, NormKind::kRmsNormOne}) {
      Norm norm;
      norm.weight = random(1, width)[0];
      if (kind == NormKind::kLayerNorm) norm.bias = random(1, width)[0];
      const at::Tensor x = random(5, width), addend = random(5, width);
      const at::Tensor dsum = random(5, width), dnormalized = random(5, width);
      for (const bool adds : {false, true}) {
        compare(
            [&] {
              const at::Tensor leaf = x.clone().requires_grad_();
              const Residual result =
                  add_and_normalize(leaf, adds ? addend : at::Tensor(), norm, kind, 1e-5);
              (result.sum * dsum + result.normalized * dnormalized).sum().backward();
              return std::vector<at::Tensor>{result.sum.detach(), result.normalized.detach(),
                                             leaf.grad()};
            },
            width == 1 ? 1e-3 : 2e-6);
      }
    }
  }
}

TEST_P(Loops, ActivationsOverTheirRange) {
  at::Tensor x = at::linspace(-12, 12, 4801, at::kFloat).unsqueeze(0);
  for (const Activation f :
       {Activation::kGelu, Activation::kGeluTanh, Activation::kRelu, Activation::kSilu}) {
    const auto run = [&](at::ScalarType type) {
      const at::Tensor input = x.to(type);
      kernels::enable(type != at::kDouble);
      NeuronHook none;
      // An FFN that is its activation: identities around it.
      LayerWeights weights;
      weights.experts.resize(1);
      weights.experts[0].up.weight = at::eye(1, type);
      weights.experts[0].down.weight = at::eye(1, type);
      ModelConfig config;
      config.ffn_width = 1;
      config.activation = f;
      const at::Tensor leaf = input.t().contiguous().requires_grad_();
      Batch batch;
      auto plan = std::make_shared<BatchPlan>();
      const at::Tensor y = feed_forward(leaf, {weights, config, 0, plan, false, none});
      y.sum().backward();
      kernels::enable(true);
      return std::make_pair(y.detach().to(at::kDouble), leaf.grad().to(at::kDouble));
    };
    const auto [value, slope] = run(at::kFloat);
    const auto [true_value, true_slope] = run(at::kDouble);
    EXPECT_LT((value - true_value).abs().max().item<double>(), 2e-6);
    EXPECT_LT((slope - true_slope).abs().max().item<double>(), 2e-6);
  }
}

TEST_P(Loops, Bfloat16RoundsAsLibTorchDoes) {
  at::manual_seed(2);
  Norm norm;
  norm.weight = at::ones({64}, at::kBFloat16);
  norm.bias = at::zeros({64}, at::kBFloat16);
  const at::Tensor x = random(50, 64, at::kBFloat16), addend = random(50, 64, at::kBFloat16);
  const Residual result = add_and_normalize(x, addend, norm, NormKind::kLayerNorm, 1e-5);
  EXPECT_TRUE(at::equal(result.sum, x + addend));
}

TEST_P(Loops, CrossEntropyAndItsGradient) {
  at::manual_seed(3);
  for (const std::int64_t vocabulary : {3, 16, 37, 500}) {
    Linear head;
    head.weight = random(vocabulary, 8);
    const at::Tensor features = random(4, 8) * 3;
    Batch batch = test::answer_batch({{{0, 1, 2, 0}, 2}, {{1, 1, 2}, 2}});
    batch.targets.push_back(batch.targets.back());  // one row, the same token twice
    batch.targets.back().weight = 0.25;
    batch.targets.push_back(batch.targets.back());
    batch.targets.back().token = 0;
    for (const LogitShape& shape : {LogitShape{}, LogitShape{0.4, 0}, LogitShape{1.5, 2}}) {
      compare(
          [&] {
            const at::Tensor leaf = features.clone().requires_grad_();
            const TargetLoss loss = target_loss(leaf, head, shape, batch);
            loss.total.backward();
            return std::vector<at::Tensor>{loss.total.detach(), loss.nll, leaf.grad()};
          },
          1e-5);
    }
  }
}

// Every family of the fixtures, relevance and gradients through attention included.
TEST_P(Loops, WholeModelsAgreeWithLibTorchsOperations) {
  for (const auto& entry : std::filesystem::directory_iterator(test::fixtures() / "hf_parity")) {
    if (!std::filesystem::exists(entry.path() / "config.json")) continue;
    SCOPED_TRACE(entry.path().filename().string());
    const Checkpoint checkpoint(entry.path());
    const Decoder decoder(checkpoint, {at::kFloat, at::kCPU});
    const std::int64_t v = checkpoint.config().vocabulary;
    std::vector<AnswerExample> examples(3);
    for (std::size_t e = 0; e < examples.size(); ++e) {
      for (std::int64_t i = 0; i < 12 + 9 * static_cast<std::int64_t>(e); ++i) {
        examples[e].ids.push_back(i < 6 ? i : (i * 7 + static_cast<std::int64_t>(e)) % v);
      }
      examples[e].answer_tokens = 3;
    }
    for (const Positions positions : {Positions::kAll, Positions::kOwn}) {
      for (const bool recompute : {false, true}) {
        compare(
            [&] {
              ScoreOptions options;
              options.sites = {Site::kAct, Site::kUp, Site::kOut};
              options.positions = positions;
              options.recompute = recompute;
              const Scores scores =
                  score_units(checkpoint, decoder, examples, options, [](double, std::int64_t) {});
              std::vector<at::Tensor> results;
              for (const Site site : options.sites) {
                results.push_back(scores.relevance(site, Aggregate::kExample));
              }
              return results;
            },
            2e-5);
      }
    }
  }
}

// Attention in bfloat16 rounds probabilities and their gradients before they are multiplied, so the
// oracle is float32 on the same rounded projections, and the bound that of PyTorch's own bfloat16.
TEST_P(Loops, AttentionInBfloat16) {
  at::manual_seed(6);
  for (const std::int64_t head_dim : {16, 64, 80}) {
    ModelConfig config;
    config.heads = 4;
    config.kv_heads = 2;
    config.head_dim = head_dim;
    config.attention_scale = 0.7 / std::sqrt(static_cast<double>(head_dim));
    config.layers = 1;
    config.each_layer.resize(1);
    Batch batch = test::answer_batch({{std::vector<std::int64_t>(70, 1), 2},
                                      {std::vector<std::int64_t>(24, 1), 2},
                                      {std::vector<std::int64_t>(3, 1), 2}});
    config.vocabulary = 2;
    config.max_positions = 100;
    const std::int64_t rows = batch.tokens();
    const std::vector<at::Tensor> wide = {random(rows, 4 * head_dim, at::kBFloat16).to(at::kFloat),
                                          random(rows, 2 * head_dim, at::kBFloat16).to(at::kFloat),
                                          random(rows, 2 * head_dim, at::kBFloat16).to(at::kFloat)};
    const at::Tensor direction = random(rows, 4 * head_dim, at::kBFloat16).to(at::kFloat);
    config.attention_softcap = head_dim == 64 ? 1.5 : 0;
    const auto run = [&](at::ScalarType type) {
      const BatchPlanPtr plan =
          make_plan(batch, std::make_shared<const ModelConfig>(config), {type, at::kCPU});
      AttentionInput input(config);
      std::vector<at::Tensor> results;
      for (const at::Tensor& one : wide) {
        input.projections.push_back(one.to(type).clone().requires_grad_());
      }
      const std::vector<at::Tensor> leaves = input.projections;
      const at::Tensor output = packed_attention(input, plan);
      output.backward(direction.to(type));
      results.push_back(output.detach().to(at::kFloat));
      for (const at::Tensor& leaf : leaves) results.push_back(leaf.grad().to(at::kFloat));
      return results;
    };
    const std::vector<at::Tensor> halves = run(at::kBFloat16), floats = run(at::kFloat);
    for (std::size_t i = 0; i < floats.size(); ++i) {
      SCOPED_TRACE(i);
      const double error = (halves[i] - floats[i]).norm().item<double>();
      EXPECT_TRUE(error <= 6e-3 * floats[i].norm().item<double>())
          << error / floats[i].norm().item<double>();
    }
  }
}

INSTANTIATE_TEST_SUITE_P(InstructionSets, Loops,
                         ::testing::Values("generic", "avx2", "avx512", "avx512bf16"),
                         [](const auto& tested) { return std::string(tested.param); });

TEST(MatrixProduct, AgreesInEveryLayoutAndType) {
  at::manual_seed(4);
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16, at::kDouble}) {
    const double tolerance = type == at::kBFloat16 ? 2e-2 : 1e-5;
    for (const std::int64_t rows : {1, 5, 33}) {
      for (const bool transposed : {false, true}) {
        for (const bool packs : {false, true}) {
          Linear linear;
          const at::Tensor weight = random(24, 40, type);
          linear.weight = transposed ? weight.t().contiguous().t() : weight;
          linear.bias = random(1, 24, type)[0];
          if (packs) linear.packed = std::make_shared<PackedWeights>();
          const at::Tensor x = random(rows, 40, type), y = random(rows, 24, type);
          const auto wide = [](const at::Tensor& t) { return t.to(at::kDouble); };
          EXPECT_CLOSE(product(x, linear), at::addmm(wide(linear.bias), wide(x), wide(weight).t()),
                       tolerance);
          EXPECT_CLOSE(transposed_product(y, linear), wide(y).mm(wide(weight)), tolerance);
          const at::Tensor sum = x.clone();
          EXPECT_CLOSE(transposed_product(y, linear, sum), wide(x) + wide(y).mm(wide(weight)),
                       tolerance);
        }
      }
    }
  }
}

}  // namespace
}  // namespace taskneuron

// Logits, losses and relevance of every family against Hugging Face transformers in float32.
#include <map>

#include "support/support.h"
#include "taskneuron/checkpoint/safetensors.h"
#include "taskneuron/model/decoder.h"
#include "taskneuron/model/trainable.h"
#include "taskneuron/train/adamw.h"

namespace taskneuron {
namespace {

using test::TokenExample;

constexpr double kTolerance = 1e-4;

// Keeps the signed and absolute sums of every example, as the goldens define them.
class SumHook : public NeuronHook {
 public:
  SumHook(const ModelConfig& config, std::int64_t examples) {
    for (const Site site : kAllSites) {
      if (site == Site::kGate && !config.gated) continue;
      const SiteShape shape = site_shape(config, site);
      signed_[site] = at::zeros({examples, shape.layers, shape.width});
      absolute_[site] = at::zeros_like(signed_[site]);
    }
  }
  bool wants_tap(Site site, std::int64_t) const override { return signed_.count(site) != 0; }
  void tap(const SiteView& view) override {
    const at::Tensor product = (view.activation * view.gradient).cpu();
    for (const RowSpan& span : *view.spans) {
      const at::Tensor rows = product.narrow(0, span.begin, span.end - span.begin);
      const auto own = [&](const at::Tensor& sums) {
        return sums[span.example][view.layer].narrow(0, view.first_unit, rows.size(1));
      };
      own(signed_[view.site]) += rows.sum(0);
      own(absolute_[view.site]) += rows.abs().sum(0);
    }
  }
  at::Tensor signed_sum(Site site) { return signed_[site]; }
  at::Tensor absolute_sum(Site site) { return absolute_[site]; }

 private:
  std::map<Site, at::Tensor> signed_, absolute_;
};

class ScaleHook : public NeuronHook {
 public:
  ScaleHook(std::int64_t layer, at::Tensor factors) : layer_(layer), factors_(std::move(factors)) {}
  at::Tensor scale(Site site, std::int64_t layer) const override {
    return site == Site::kAct && layer == layer_ ? factors_ : at::Tensor();
  }

 private:
  std::int64_t layer_;
  at::Tensor factors_;
};

std::vector<TokenExample> golden_examples(const SafetensorsFile& golden) {
  std::vector<TokenExample> examples;
  for (int e = 0; golden.contains("ids_" + std::to_string(e)); ++e) {
    const at::Tensor ids = golden.tensor("ids_" + std::to_string(e)).to(at::kLong);
    examples.push_back({{ids.data_ptr<std::int64_t>(), ids.data_ptr<std::int64_t>() + ids.numel()},
                        golden.tensor("answer_tokens_" + std::to_string(e)).item<int>()});
  }
  return examples;
}

struct Golden {
  const Checkpoint& checkpoint;
  const Decoder& decoder;
  const SafetensorsFile& file;
  std::vector<TokenExample> examples;
};

void check_logits(const Golden& golden) {
  const at::NoGradGuard no_gradients;
  NeuronHook none;
  const Batch batch = test::answer_batch(golden.examples, /*all_logits=*/true);
  const at::Tensor logits = golden.decoder.logits(golden.decoder.features(batch, none));
  for (std::size_t e = 0; e < golden.examples.size(); ++e) {
    const Segment& segment = batch.segments[e];
    EXPECT_CLOSE(logits.narrow(0, segment.begin, segment.tokens()),
                 golden.file.tensor("logits_" + std::to_string(e)), kTolerance);
  }
}

void check_losses_and_relevance(const Golden& golden) {
  const Batch batch = test::answer_batch(golden.examples);
  SumHook hook(golden.checkpoint.config(), batch.examples);
  at::Tensor nll;
  const at::Tensor loss =
      golden.decoder.target_loss(golden.decoder.features(batch, hook), batch, &nll);
  loss.backward();
  std::int64_t first = 0;
  for (std::size_t e = 0; e < golden.examples.size(); ++e) {
    const std::string suffix = "_" + std::to_string(e);
    const std::int64_t count = golden.examples[e].answer_tokens;
    EXPECT_CLOSE(nll.narrow(0, first, count).mean(), golden.file.tensor("loss" + suffix)[0],
                 kTolerance);
    first += count;
    const auto example = static_cast<std::int64_t>(e);
    EXPECT_CLOSE(hook.signed_sum(Site::kAct)[example], golden.file.tensor("signed_act" + suffix),
                 kTolerance);
    if (!golden.file.contains("tokenabs_act" + suffix)) continue;
    EXPECT_CLOSE(hook.absolute_sum(Site::kAct)[example],
                 golden.file.tensor("tokenabs_act" + suffix), kTolerance);
    EXPECT_CLOSE(hook.signed_sum(Site::kOut)[example], golden.file.tensor("signed_down" + suffix),
                 kTolerance);
    for (const Site site : {Site::kUp, Site::kGate}) {
      const std::string name = std::string("signed_") + site_name(site) + suffix;
      if (!golden.file.contains(name)) continue;
      EXPECT_CLOSE(hook.signed_sum(site)[example], golden.file.tensor(name), kTolerance);
    }
  }
  EXPECT_CLOSE(hook.signed_sum(Site::kAct).abs().mean(0), golden.file.tensor("relevance_act"),
               kTolerance);
}

// The loss of the first example with one unit off, by a mask and by its weights.
void check_ablation(const Golden& golden) {
  if (!golden.file.contains("ablated_unit")) return;
  const at::NoGradGuard no_gradients;
  const Decoder& decoder = golden.decoder;
  const at::Tensor units = golden.file.tensor("ablated_unit");
  const at::Tensor losses = golden.file.tensor("ablated_loss_0");
  const Batch single = test::answer_batch({golden.examples[0]});
  for (std::int64_t l = 0; l < units.size(0); ++l) {
    for (std::int64_t i = 0; i < units.size(1); ++i) {
      const std::int64_t unit = units[l][i].item<int>();
      at::Tensor factors = at::ones({golden.checkpoint.config().ffn_width});
      factors[unit] = 0;
      ScaleHook off(l, factors);
      const at::Tensor masked = decoder.target_nll(decoder.features(single, off), single).mean();
      EXPECT_CLOSE(masked, losses[l][i], kTolerance);
      std::vector<std::vector<std::int64_t>> zeroed(static_cast<std::size_t>(l) + 1);
      zeroed.back() = {unit};
      NeuronHook none;
      const Decoder without = decoder.with_zeroed({{Site::kAct, zeroed}});
      EXPECT_CLOSE(without.target_nll(without.features(single, none), single).mean(), masked, 1e-5);
    }
  }
}

// Four steps of AdamW on the units of `ablated_unit`, all examples in each.
void check_training(const Golden& golden) {
  if (!golden.file.contains("step_losses")) return;
  const at::Tensor chosen = golden.file.tensor("ablated_unit").to(at::kLong);
  TrainableOptions options;
  for (std::int64_t l = 0; l < chosen.size(0); ++l) {
    const at::Tensor own = chosen[l].contiguous();
    options.units[Site::kAct].emplace_back(own.data_ptr<std::int64_t>(),
                                           own.data_ptr<std::int64_t>() + own.numel());
  }
  TrainableModel model = make_trainable(golden.checkpoint, golden.decoder, options);
  std::int64_t owned = 0;
  for (const ParameterPtr& parameter : model.parameters) owned += parameter->numel();
  EXPECT_EQ(owned, golden.file.tensor("owned_parameters").item<int>());
  AdamW optimizer(model.parameters, {});
  const at::Tensor losses = golden.file.tensor("step_losses");
  const auto examples = static_cast<double>(golden.examples.size());
  const Batch batch = test::answer_batch(golden.examples);
  for (std::int64_t step = 0; step < losses.size(0); ++step) {
    for (const ParameterPtr& parameter : model.parameters) parameter->clear_gradient();
    NeuronHook none;
    const at::Tensor total = model.decoder.target_loss(model.decoder.features(batch, none), batch);
    (total / examples).backward();
    EXPECT_CLOSE(total / examples, losses[step], kTolerance);
    optimizer.step(0.005, 1, optimizer.gradient_norm());
  }
}

void check_folder(const std::filesystem::path& folder) {
  const Checkpoint checkpoint(folder);
  const Decoder decoder(checkpoint, {at::kFloat, test::device()});
  const SafetensorsFile file(folder / "golden.safetensors");
  const Golden golden{checkpoint, decoder, file, golden_examples(file)};
  ASSERT_FALSE(golden.examples.empty());
  check_logits(golden);
  check_losses_and_relevance(golden);
  check_ablation(golden);
  check_training(golden);
}

class FamilyGoldens : public ::testing::TestWithParam<std::string> {};

TEST_P(FamilyGoldens, AgreeWithTransformers) {
  check_folder(test::fixtures() / "hf_parity" / GetParam());
}

INSTANTIATE_TEST_SUITE_P(Families, FamilyGoldens, ::testing::ValuesIn(test::family_fixtures()),
                         [](const auto& family) { return family.param; });

// Options that no checkpoint above has; goldens from tests/goldens/make_variants.py.
class VariantGoldens : public ::testing::TestWithParam<std::string> {};

TEST_P(VariantGoldens, AgreeWithPlainPyTorch) {
  check_folder(test::fixtures() / "variants" / GetParam());
}

INSTANTIATE_TEST_SUITE_P(Variants, VariantGoldens,
                         ::testing::Values("opt_post_norm", "gpt_neox_sequential", "llama3_rope",
                                           "llama_linear_rope"),
                         [](const auto& variant) { return variant.param; });

TEST(RealModelGoldens, AgreeWithTransformers) {
  if (test::shared().empty())
    GTEST_SKIP() << "../shared is not there: craftgpt and stories260k not checked";
  for (const char* model : {"craftgpt", "stories260k"}) {
    SCOPED_TRACE(model);
    check_folder(test::shared() / "models" / model);
  }
}

}  // namespace
}  // namespace taskneuron

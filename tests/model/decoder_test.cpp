// Gradients by finite differences, and what must not change a result.
#include <numeric>

#include "support/support.h"
#include "taskneuron/data/batching.h"
#include "taskneuron/model/decoder.h"

namespace taskneuron {
namespace {

using test::TokenExample;

const std::vector<TokenExample> kExamples = {
    {{5, 17, 40, 3, 88, 12, 9, 61}, 3}, {{44, 2, 90, 7, 31}, 1}, {{10, 11, 12, 13, 14, 15, 60}, 2}};

// Multiplies ω of one site and layer by factors, and sums ∂loss/∂ω · ω per unit.
class ProbeHook : public NeuronHook {
 public:
  ProbeHook(Site site, std::int64_t layer, at::Tensor factors)
      : site_(site), layer_(layer), factors_(std::move(factors)) {}
  at::Tensor scale(Site site, std::int64_t layer) const override {
    return site == site_ && layer == layer_ ? factors_ : at::Tensor();
  }
  bool wants_tap(Site site, std::int64_t layer) const override {
    return site == site_ && layer == layer_;
  }
  void tap(const SiteView& view) override {
    const at::Tensor shown = (view.activation * view.gradient).sum(0);
    if (!sum.defined()) sum = at::zeros(factors_.sizes(), shown.options());
    sum.narrow(0, view.first_unit, shown.size(0)).copy_(shown);
  }
  at::Tensor sum;

 private:
  Site site_;
  std::int64_t layer_;
  at::Tensor factors_;
};

class EveryFamily : public ::testing::TestWithParam<std::string> {
 protected:
  Checkpoint checkpoint() const { return Checkpoint(test::fixtures() / "hf_parity" / GetParam()); }
};

// d loss / d factor of a unit is Σ_t ∂loss/∂ω · ω at factor 1: this runs every hand-written
// backward above the site in float64.
TEST_P(EveryFamily, GradientsAgreeWithFiniteDifferences) {
  const Decoder decoder(checkpoint(), {at::kDouble, at::kCPU});
  const Batch batch = test::answer_batch(kExamples);
  constexpr float kStep = 0x1.0p-12;
  for (const Site site : kAllSites) {
    if (site == Site::kGate && !decoder.config().gated) continue;
    const std::int64_t width = site_shape(decoder.config(), site).width;
    for (std::int64_t layer = 0; layer < decoder.config().layers; ++layer) {
      ProbeHook hook(site, layer, at::ones({width}));
      decoder.target_loss(decoder.features(batch, hook), batch).backward();
      for (const std::int64_t unit : {std::int64_t{0}, width / 2, width - 1}) {
        const auto loss_at = [&](float factor) {
          at::Tensor factors = at::ones({width});
          factors[unit] = factor;
          ProbeHook probe(site, layer, factors);
          const at::NoGradGuard no_gradients;
          return decoder.target_loss(decoder.features(batch, probe), batch).item<double>();
        };
        const double difference = (loss_at(1 + kStep) - loss_at(1 - kStep)) / (2 * kStep);
        const double gradient = hook.sum[unit].item<double>();
        EXPECT_TRUE(std::abs(difference - gradient) <= 1e-7 + 1e-5 * std::abs(gradient))
            << site_name(site) << " layer " << layer << " unit " << unit << ": " << gradient
            << " vs " << difference;
      }
    }
  }
}

// Each label with its whole prompt in a pass of its own is the plain way; the branches of one pass
// must give the same, whatever positions and windows the family has.
TEST_P(EveryFamily, LabelsAsBranchesEqualWholePrompts) {
  const Decoder decoder(checkpoint(), {});
  const at::NoGradGuard no_gradients;
  NeuronHook none;
  RankedExample ranked;
  ranked.trunk = {5, 17, 40, 3, 88, 12};
  ranked.labels = {{{9, 61}, 2, 1}, {{7}, 1, 1}, {{30, 31, 32}, 3, 1}};
  ranked.gold = 2;
  RankedExample second = ranked;
  second.trunk = {1, 2, 3, 4};
  second.gold = 1;
  const RankingBatch ranking = ranking_batch({&ranked, &second}, 96);
  const at::Tensor nll = decoder.target_nll(decoder.features(ranking.batch, none), ranking.batch);
  std::vector<double> found(static_cast<std::size_t>(ranking.batch.sequences), 0);
  for (std::size_t i = 0; i < ranking.batch.targets.size(); ++i) {
    found[static_cast<std::size_t>(ranking.batch.targets[i].sequence)] +=
        nll[static_cast<std::int64_t>(i)].item<double>();
  }
  std::size_t next = 0;
  for (const RankedExample* example : {&ranked, &second}) {
    std::vector<TokenExample> whole;
    for (const auto& label : example->labels) {
      TokenExample one{example->trunk, static_cast<std::int64_t>(label.ids.size())};
      one.ids.insert(one.ids.end(), label.ids.begin(), label.ids.end());
      whole.push_back(one);
    }
    whole.push_back(whole[static_cast<std::size_t>(example->gold)]);
    whole.back().ids.push_back(96);
    whole.back().answer_tokens = 1;
    for (const TokenExample& one : whole) {
      const Batch batch = test::answer_batch({one});
      const double expected =
          decoder.target_nll(decoder.features(batch, none), batch).sum().item<double>();
      EXPECT_TRUE(std::abs(found[next] - expected) <= 1e-4 * expected) << next;
      ++next;
    }
  }
}

TEST_P(EveryFamily, TextBehindACachedPrefixEqualsTheWholeText) {
  const Decoder decoder(checkpoint(), {});
  const at::NoGradGuard no_gradients;
  NeuronHook none;
  AnswerExample first{{5, 17, 40, 3, 88, 12, 9, 61}, 2, false};
  AnswerExample second{{5, 17, 40, 3, 10, 11, 60}, 1, false};
  KeyValueCache cache(1, decoder.config().layers);
  const Batch prefix = cached_prefix_batch(first, 4);
  decoder.features(prefix, none, &cache);
  const Batch behind = behind_prefix_batch({&first, &second}, 4);
  const Batch whole = answer_batch({&first, &second});
  const Batch shared = shared_prefix_batch({&first, &second}, 4);
  const at::Tensor expected = decoder.target_nll(decoder.features(whole, none), whole);
  EXPECT_CLOSE(decoder.target_nll(decoder.features(behind, none, &cache), behind), expected, 1e-5);
  EXPECT_CLOSE(decoder.target_nll(decoder.features(shared, none), shared), expected, 1e-5);
}

INSTANTIATE_TEST_SUITE_P(Families, EveryFamily, ::testing::ValuesIn(test::family_fixtures()),
                         [](const auto& family) { return family.param; });

// Graphs share ownership of what they read: model, batch and plan may move or go before the
// backward pass. Both on the loops (float32) and on LibTorch's operations (float64).
TEST_P(EveryFamily, GraphsOutliveDecoderAndBatch) {
  for (const at::ScalarType dtype : {at::kFloat, at::kDouble}) {
    const auto relevance = [&](bool keep) {
      auto file = std::make_unique<Checkpoint>(checkpoint());
      auto decoder = std::make_unique<Decoder>(*file, DecoderOptions{dtype, at::kCPU});
      auto batch = std::make_unique<Batch>(test::answer_batch(kExamples));
      const std::int64_t width = site_shape(decoder->config(), Site::kAct).width;
      ProbeHook hook(Site::kAct, 0, at::ones({width}));
      at::Tensor loss = decoder->target_loss(decoder->features(*batch, hook), *batch);
      if (!keep) {
        { const Decoder moved = std::move(*decoder); }
        decoder.reset();
        batch.reset();
        file.reset();
      }
      loss.backward();
      return hook.sum;
    };
    EXPECT_TRUE(relevance(false).equal(relevance(true)));
  }
}

TEST(Decoder, ConvertsWeightsOfAnotherDtype) {
  const Checkpoint checkpoint(test::fixtures() / "hf_parity" / "llama");
  const at::NoGradGuard no_gradients;
  NeuronHook none;
  const Batch batch = test::answer_batch(kExamples);
  const Decoder wide(checkpoint, {}), narrow(checkpoint, {at::kBFloat16, at::kCPU});
  EXPECT_CLOSE(narrow.target_nll(narrow.features(batch, none), batch),
               wide.target_nll(wide.features(batch, none), batch), 2e-2);
}

TEST(Decoder, RefusesIdsOutsideTheVocabulary) {
  const Decoder decoder(Checkpoint(test::fixtures() / "hf_parity" / "gpt2"), {});
  NeuronHook none;
  EXPECT_NE(test::error_of([&] {
              decoder.features(test::answer_batch({{{1, 97}, 1}}, true), none);
            }).find("token id 97 is outside"),
            std::string::npos);
  std::vector<std::int64_t> too_long(65, 1);
  EXPECT_NE(test::error_of([&] {
              decoder.features(test::answer_batch({{too_long, 1}}, true), none);
            }).find("more than 64 tokens"),
            std::string::npos);
}

}  // namespace
}  // namespace taskneuron

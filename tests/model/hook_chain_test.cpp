// Several hooks as one: what each of them does to ω, and what it is shown.
#include "taskneuron/model/hook_chain.h"

#include "base/torch_compat.h"
#include "model/kernels/dispatch.h"
#include "support/task_on_model.h"
#include "taskneuron/evaluate/variant.h"

namespace taskneuron {
namespace {

// ω ← ω · factor + added of one site, everywhere.
class Affine : public NeuronHook {
 public:
  Affine(Site site, at::Tensor factor, at::Tensor added)
      : site_(site), factor_(std::move(factor)), added_(std::move(added)) {}
  at::Tensor scale(Site site, std::int64_t) const override {
    return site == site_ ? factor_ : at::Tensor();
  }
  bool wants_offset(Site site, std::int64_t) const override {
    return site == site_ && added_.defined();
  }
  at::Tensor offset(Site, std::int64_t, const RowTokens&) const override { return added_; }

 private:
  Site site_;
  at::Tensor factor_, added_;
};

// Keeps what it is shown.
class Spy : public NeuronHook {
 public:
  Spy(Site site, bool sums) : site_(site), sums_(sums) {}
  bool wants_tap(Site site, std::int64_t) const override { return site == site_; }
  bool wants_sums(Site, std::int64_t) const override { return sums_; }
  void tap(const SiteView& view) override {
    taps.push_back(view.product_sums.defined() ? view.product_sums.sum(0)
                                               : (view.activation * view.gradient).sum(0));
    saw_sums = saw_sums || view.product_sums.defined();
  }
  bool wants_observe(Site site, std::int64_t) const override { return site == site_; }
  void observe(const SiteView& view) override { seen.push_back(view.activation.detach().clone()); }

  std::vector<at::Tensor> taps, seen;
  bool saw_sums = false;

 private:
  Site site_;
  bool sums_;
};

class Chains : public ::testing::Test {
 protected:
  Chains() : fixture_(test::end_to_end("llama")), width_(fixture_.checkpoint.config().ffn_width) {
    std::vector<const AnswerExample*> some;
    for (std::size_t e = 0; e < 3; ++e) some.push_back(&fixture_.examples[e]);
    batch_ = answer_batch(some);
    at::manual_seed(5);
  }
  double loss(NeuronHook& hook) const {
    const at::Tensor features = fixture_.decoder.features(batch_, hook);
    const at::Tensor total = fixture_.decoder.target_loss(features, batch_);
    if (total.requires_grad()) total.backward();
    return total.item<double>();
  }
  // Some units of every layer.
  NeuronSet set(const std::vector<std::int64_t>& units) const {
    NeuronSet result;
    result.sites[Site::kAct] = {width_, {}};
    result.sites[Site::kAct].units.assign(
        static_cast<std::size_t>(fixture_.checkpoint.config().layers), units);
    return result;
  }

  test::TaskOnModel fixture_;
  std::int64_t width_;
  Batch batch_;
};

TEST_F(Chains, EachChangesWhatThoseBeforeItMade) {
  const at::NoGradGuard no_gradients;
  const at::Tensor s1 = at::rand({width_}), o1 = at::rand({width_}), s2 = at::rand({width_}),
                   o2 = at::rand({width_});
  for (const Site site : {Site::kAct, Site::kUp, Site::kGate}) {
    Affine first(site, s1, o1), second(site, s2, o2), observer(Site::kOut, {}, {});
    Affine wanted(site, s1 * s2, o1 * s2 + o2), other_way(site, s1 * s2, o2 * s1 + o1);
    HookChain chain({&first, &observer, &second});
    HookChain turned({&second, &first});
    const double here = loss(chain);
    EXPECT_NEAR(here, loss(wanted), 1e-5);
    EXPECT_NEAR(loss(turned), loss(other_way), 1e-5);
    EXPECT_GT(std::abs(here - loss(turned)), 1e-3);  // so that the order is seen
  }
}

TEST_F(Chains, TwoScalesOfOneUnitMultiplyInEitherOrder) {
  const at::NoGradGuard no_gradients;
  SetHook half(set({1, 2, 3}), 0.5), third(set({3, 4}), 0.25);
  HookChain chain({&half, &third}), turned({&third, &half});
  const at::Tensor scale = chain.scale(Site::kAct, 1);
  EXPECT_TRUE(at::equal(scale, turned.scale(Site::kAct, 1)));
  EXPECT_EQ(scale[2].item<double>(), 0.5);
  EXPECT_EQ(scale[3].item<double>(), 0.125);
  EXPECT_EQ(scale[4].item<double>(), 0.25);
  EXPECT_EQ(scale[5].item<double>(), 1);
  EXPECT_EQ(loss(chain), loss(turned));
  EXPECT_FALSE(chain.wants_offset(Site::kAct, 1));
  EXPECT_FALSE(chain.scale(Site::kUp, 1).defined());
}

TEST_F(Chains, TheLaterHookHasTheLastWordOnAUnit) {
  const at::NoGradGuard no_gradients;
  ReferenceOptions options;
  options.sites = {Site::kAct};
  std::vector<std::vector<std::int64_t>> texts;
  for (const AnswerExample& example : fixture_.examples) texts.push_back(example.ids);
  const ReferenceActivations reference(fixture_.decoder, texts, options, [](std::int64_t) {});
  const NeuronSet units = set({1, 4});
  SetHook off(units, 0);
  MeanHook mean(units, reference);
  ResampleHook resample(units, reference, 3);
  HookChain off_then_mean({&off, &mean}), mean_then_off({&mean, &off}),
      resample_then_mean({&resample, &mean}), one({&resample});
  EXPECT_EQ(loss(off_then_mean), loss(mean));
  EXPECT_EQ(loss(mean_then_off), loss(off));
  EXPECT_EQ(loss(resample_then_mean), loss(mean));
  EXPECT_EQ(loss(one), loss(resample));
  EXPECT_NE(loss(mean), loss(off));
}

TEST_F(Chains, EveryoneIsShownTheSame) {
  Spy sums(Site::kAct, true), rows(Site::kAct, false), late(Site::kAct, true);
  SetHook off(set({1, 2}), 0);
  HookChain of_sums({&off, &sums}), mixed({&off, &rows, &late});
  loss(of_sums);
  loss(mixed);
  EXPECT_EQ(sums.saw_sums, kernels::covers(at::empty({1, 1})));
  EXPECT_FALSE(rows.saw_sums || late.saw_sums);
  ASSERT_EQ(sums.taps.size(), static_cast<std::size_t>(fixture_.checkpoint.config().layers));
  for (std::size_t l = 0; l < sums.taps.size(); ++l) {
    EXPECT_TRUE(at::equal(rows.taps[l], late.taps[l]));
    EXPECT_TRUE(at::equal(rows.seen[l], sums.seen[l]));
    EXPECT_CLOSE(sums.taps[l], rows.taps[l], 1e-5);
    EXPECT_EQ(sums.taps[l][1].item<double>(), 0);
    EXPECT_NE(sums.taps[l][3].item<double>(), 0);
  }
  HookChain nobody({&off});
  EXPECT_FALSE(nobody.wants_tap(Site::kAct, 0));
  EXPECT_FALSE(nobody.wants_all_rows());
}

// Relevance under ablation is that of the model whose units have no parameters.
TEST_F(Chains, DetectionUnderAblationIsDetectionInTheAblatedModel) {
  const NeuronSet units = set({0, 3, 5});
  SetHook off(units, 0);
  const Decoder zeroed =
      fixture_.decoder.with_zeroed({{Site::kAct, units.sites.at(Site::kAct).units}});
  const std::vector<AnswerExample> few(fixture_.examples.begin(), fixture_.examples.begin() + 4);
  for (const char* method :
       {"taylor", "gradient", "activation", "integrated-gradients", "ablation"}) {
    ScoreOptions options;
    options.method = method;
    options.aggregate = default_aggregate(method);
    options.integration_steps = 2;
    options.limits.max_tokens = 64;
    const auto nobody = [](double, std::int64_t) {};
    const Scores wanted = score_units(fixture_.checkpoint, zeroed, few, options, nobody);
    options.under = &off;
    const Scores found = score_units(fixture_.checkpoint, fixture_.decoder, few, options, nobody);
    at::Tensor theirs = wanted.relevance(Site::kAct, options.aggregate),
               ours = found.relevance(Site::kAct, options.aggregate);
    // A unit whose row of W2 is zero has no gradient at all; one that is scaled by zero has.
    if (std::string(method) == "gradient") {
      const at::Tensor rest = at::tensor({1, 2, 4, 6, 7, 8}, at::kLong);
      theirs = theirs.index_select(1, rest);
      ours = ours.index_select(1, rest);
    }
    SCOPED_TRACE(method);
    EXPECT_CLOSE(ours, theirs, 1e-4);
  }
}

}  // namespace
}  // namespace taskneuron

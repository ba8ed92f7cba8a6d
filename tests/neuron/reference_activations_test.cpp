#include "taskneuron/neuron/reference_activations.h"

#include "support/task_on_model.h"

namespace taskneuron {
namespace {

using Texts = std::vector<std::vector<std::int64_t>>;

NeuronSet units_of(const ModelConfig& config, Site site, const std::vector<std::int64_t>& units) {
  NeuronSet set;
  const SiteShape shape = site_shape(config, site);
  set.sites[site] = {shape.width, {}};
  set.sites[site].units.assign(static_cast<std::size_t>(shape.layers), units);
  set.sites[site].units.front().clear();  // a layer without units is left alone
  return set;
}

// ω of one site and layer at every row that a pass ran.
class Watch : public NeuronHook {
 public:
  Watch(NeuronHook& inner, Site site, std::int64_t layer)
      : inner_(inner), site_(site), layer_(layer) {}
  at::Tensor scale(Site site, std::int64_t layer) const override {
    return inner_.scale(site, layer);
  }
  bool wants_offset(Site site, std::int64_t layer) const override {
    return inner_.wants_offset(site, layer);
  }
  at::Tensor offset(Site site, std::int64_t layer, const RowTokens& tokens) const override {
    return inner_.offset(site, layer, tokens);
  }
  bool wants_observe(Site site, std::int64_t layer) const override {
    return site == site_ && layer == layer_;
  }
  bool wants_all_rows() const override { return true; }
  void observe(const SiteView& view) override { rows.push_back(view.activation.clone()); }

  std::vector<at::Tensor> rows;

 private:
  NeuronHook& inner_;
  Site site_;
  std::int64_t layer_;
};

class References : public ::testing::Test {
 protected:
  References() : fixture_(test::end_to_end("llama", "test")) {
    for (const AnswerExample& example : fixture_.examples) texts_.push_back(example.ids);
  }

  ReferenceActivations collect(const BatchLimits& limits, std::int64_t positions = 40) const {
    ReferenceOptions options;
    options.sites = {Site::kAct, Site::kOut};
    options.positions = positions;
    options.limits = limits;
    std::int64_t ran = 0;
    ReferenceActivations found(fixture_.decoder, texts_, options,
                               [&](std::int64_t tokens) { ran += tokens; });
    EXPECT_EQ(ran, found.tokens());
    return found;
  }

  // ω of all texts, one pass for each, with a hook.
  at::Tensor rows(NeuronHook& hook, Site site, std::int64_t layer) const {
    const at::NoGradGuard no_gradients;
    Watch watch(hook, site, layer);
    for (const auto& text : texts_) {
      fixture_.decoder.features(test::answer_batch({{text, 1}}), watch);
    }
    return at::cat(watch.rows);
  }

  double loss(NeuronHook& hook, const BatchLimits& limits, Scoring scoring) const {
    return TaskEvaluation(fixture_.task, "test", fixture_.rows, fixture_.encoder,
                          {scoring, StopRule::kBlankLine, 0})
        .run(fixture_.decoder, hook, limits, [](std::int64_t, std::int64_t) {})
        .loss;
  }

  test::TaskOnModel fixture_;
  Texts texts_;
};

TEST_F(References, MeansAndSamplesDoNotDependOnBatches) {
  BatchLimits one;
  one.max_examples = 1;
  const ReferenceActivations apart = collect(one), together = collect({});
  EXPECT_EQ(together.sampled(), 40);
  for (const Site site : {Site::kAct, Site::kOut}) {
    EXPECT_CLOSE(apart.mean(site, 1), together.mean(site, 1), 1e-5);
    EXPECT_CLOSE(apart.samples(site, 1), together.samples(site, 1), 1e-5);
  }
}

// test::answer_batch leaves the last token out, which is only a target there.
TEST_F(References, MeanIsThatOfAllRows) {
  for (auto& text : texts_) text.push_back(text.back());
  NeuronHook none;
  const at::Tensor all = rows(none, Site::kAct, 1);
  for (auto& text : texts_) text.pop_back();
  const ReferenceActivations found = collect({}, all.size(0) + 5);
  EXPECT_EQ(found.tokens(), all.size(0));
  EXPECT_EQ(found.sampled(), all.size(0));  // as many as there are
  EXPECT_CLOSE(found.mean(Site::kAct, 1), all.mean(0), 1e-5);
  EXPECT_CLOSE(found.samples(Site::kAct, 1), all, 1e-5);
}

TEST_F(References, HooksChangeTheirUnitsAlone) {
  const ReferenceActivations found = collect({});
  for (const Site site : {Site::kAct, Site::kOut}) {
    const NeuronSet set = units_of(fixture_.checkpoint.config(), site, {1, 4});
    const at::Tensor units = at::tensor({1, 4}, at::kLong), rest = at::tensor({0, 2, 3}, at::kLong);
    NeuronHook none;
    MeanHook mean(set, found);
    ResampleHook resample(set, found, 7);
    EXPECT_FALSE(mean.wants_offset(site, 0));
    EXPECT_FALSE(resample.wants_offset(site, 0));
    const at::Tensor intact = rows(none, site, 1), by_mean = rows(mean, site, 1),
                     by_sample = rows(resample, site, 1);
    EXPECT_TRUE(by_mean.index_select(1, rest).equal(intact.index_select(1, rest)));
    EXPECT_TRUE(by_sample.index_select(1, rest).equal(intact.index_select(1, rest)));
    const at::Tensor wanted = found.mean(site, 1).index_select(0, units);
    EXPECT_TRUE(by_mean.index_select(1, units).equal(wanted.expand({intact.size(0), 2})));
    // Every row holds what one sample holds, both units from the same one.
    const at::Tensor samples = found.samples(site, 1).index_select(1, units);
    const at::Tensor taken = by_sample.index_select(1, units);
    const at::Tensor same = taken.unsqueeze(1).eq(samples.unsqueeze(0)).all(-1).any(-1);  // [rows]
    EXPECT_TRUE(same.all().item<bool>());
    EXPECT_GT(at::std(taken.select(1, 0)).item<double>(), 0);
  }
}

// What stands in place of ω at a position is the same in batches of any size, for ranking with a
// shared prefix and for plain losses.
TEST_F(References, ResamplingDoesNotDependOnBatches) {
  const ReferenceActivations found = collect({});
  const NeuronSet set = units_of(fixture_.checkpoint.config(), Site::kAct, {0, 1, 2, 3, 4, 5});
  BatchLimits one;
  one.max_examples = 1;
  for (const Scoring scoring : {Scoring::kRank, Scoring::kLoss, Scoring::kGenerate}) {
    ResampleHook first(set, found, 7), second(set, found, 7), other(set, found, 8);
    const double apart = loss(first, one, scoring);
    EXPECT_NEAR(apart, loss(second, {}, scoring), 1e-5);
    EXPECT_NE(apart, loss(other, {}, scoring));
  }
}

// With a single position to draw from there is nothing to draw: the mean is that position.
TEST_F(References, OnePositionIsItsMean) {
  texts_ = {{texts_.front().front()}};
  const ReferenceActivations found = collect({});
  EXPECT_EQ(found.sampled(), 1);
  const NeuronSet set = units_of(fixture_.checkpoint.config(), Site::kAct, {0, 2, 4});
  MeanHook mean(set, found);
  ResampleHook resample(set, found, 7);
  EXPECT_NEAR(loss(mean, {}, Scoring::kLoss), loss(resample, {}, Scoring::kLoss), 1e-6);
}

TEST_F(References, NoTextsAreRefused) {
  texts_.clear();
  EXPECT_EQ(test::error_of([&] { collect({}); }), "no reference texts to take activations from");
}

}  // namespace
}  // namespace taskneuron

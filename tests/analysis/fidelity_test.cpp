#include "taskneuron/analysis/fidelity.h"

#include <set>

#include "support/task_on_model.h"

namespace taskneuron {
namespace {

const ScoreProgress kNoProgress = [](double, std::int64_t) {};

FidelityOptions small_options() {
  FidelityOptions options;
  options.units = 60;
  options.examples = 6;
  options.shards = 4;
  options.orders = 3;
  return options;
}

TEST(StratifiedSample, TakesAsManyFromEveryTenth) {
  const at::Tensor values = at::arange(200, at::kDouble).view({4, 50});
  const auto sample = stratified_sample({{Site::kAct, values}}, 40, 1);
  ASSERT_EQ(sample.size(), 40);
  std::map<std::int64_t, int> by_tenth;
  std::set<std::int64_t> different;
  for (const SiteUnit& unit : sample) {
    const std::int64_t rank = unit.layer * 50 + unit.unit;
    ++by_tenth[rank / 20];
    different.insert(rank);
  }
  EXPECT_EQ(different.size(), 40);
  for (std::int64_t tenth = 0; tenth < 10; ++tenth) EXPECT_EQ(by_tenth[tenth], 4) << tenth;
  for (std::size_t i = 1; i < sample.size(); ++i) EXPECT_GE(sample[i].layer, sample[i - 1].layer);
  EXPECT_EQ(stratified_sample({{Site::kAct, values}}, 1000, 1).size(), 200);
}

TEST(LossAudit, ReportsTheTrueChangeOfTheAuditedUnits) {
  const test::TaskOnModel fixture = test::end_to_end("llama");
  FidelityOptions options = small_options();
  options.examples = static_cast<std::int64_t>(fixture.examples.size());
  options.scoring.sites = {Site::kAct, Site::kOut};
  const LossAudit audit =
      audit_loss(fixture.checkpoint, fixture.decoder, fixture.examples, options, kNoProgress);
  ScoreOptions exact = options.scoring;
  exact.method = "ablation";
  const Scores truth = fixture.score(exact), taylor = fixture.score(options.scoring);
  ASSERT_EQ(audit.units.size(), 60);
  for (const UnitAudit& unit : audit.units) {
    const auto value = [&](const at::Tensor& table) {
      return table[unit.unit.layer][unit.unit.unit].item<double>();
    };
    EXPECT_NEAR(unit.change, value(truth.relevance(unit.unit.site, Aggregate::kExample)), 1e-6);
    EXPECT_NEAR(std::abs(unit.signed_change),
                value(truth.relevance(unit.unit.site, Aggregate::kDataset)), 1e-6);
    EXPECT_NEAR(unit.relevance, value(taylor.relevance(unit.unit.site, Aggregate::kExample)), 1e-6);
  }
  EXPECT_GT(audit.spearman, 0.9);
  EXPECT_GT(audit.signed_pearson, 0.9);
  // The largest set: what it loses is what the model loses with it off.
  const SetAudit& set = audit.sets.back();
  SetHook hook(
      select_top(site_relevance(taylor, {}, Aggregate::kExample), set.percent, Scope::kGlobal), 0);
  NeuronHook none;
  const double off = fixture.evaluate(hook, Scoring::kLoss).loss;
  EXPECT_NEAR(set.change, off - fixture.evaluate(none, Scoring::kLoss).loss, 1e-5);
  EXPECT_NEAR(audit.loss, fixture.evaluate(none, Scoring::kLoss).loss, 1e-5);
}

TEST(Stability, EqualExamplesChooseEqualSets) {
  const test::TaskOnModel fixture = test::end_to_end("gpt2");
  const std::vector<AnswerExample> same(8, fixture.examples.front());
  const Stability stability =
      audit_stability(fixture.checkpoint, fixture.decoder, same, small_options(), kNoProgress);
  EXPECT_NEAR(stability.half_jaccard, 1, 1e-9);
  EXPECT_EQ(stability.stable_from, 2);
  ASSERT_EQ(stability.curve.size(), 4);
  EXPECT_EQ(stability.curve.back().examples, 8);
}

TEST(Stability, DifferentExamplesMoveTheSet) {
  const test::TaskOnModel fixture = test::end_to_end("gpt2");
  const Stability stability = audit_stability(fixture.checkpoint, fixture.decoder, fixture.examples,
                                              small_options(), kNoProgress);
  EXPECT_LT(stability.curve.front().with_all, 1);
  EXPECT_EQ(stability.curve.back().with_all, 1);
  EXPECT_FALSE(stability.curve.back().disjoint.has_value());
  EXPECT_GT(stability.half_jaccard, stability.chance_jaccard);
  EXPECT_EQ(stability.examples, static_cast<std::int64_t>(fixture.examples.size()));
  EXPECT_NE(test::error_of([&] {
              audit_stability(fixture.checkpoint, fixture.decoder, {fixture.examples.front()},
                              small_options(), kNoProgress);
            }).find("at least two"),
            std::string::npos);
}

}  // namespace
}  // namespace taskneuron

#include "taskneuron/analysis/fidelity.h"

#include <cmath>
#include <set>

#include "support/task_on_model.h"
#include "taskneuron/base/random.h"
#include "taskneuron/base/statistics.h"
#include "taskneuron/data/batching.h"

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
  const auto sample = stratified_sample(Ranking({{Site::kAct, values}}), 40, 1);
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
  EXPECT_EQ(stratified_sample(Ranking({{Site::kAct, values}}), 1000, 1).size(), 200);
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

// In the last layer a position's FFN moves the target behind it alone, so that the changes of
// single positions are those of single targets with the unit off everywhere.
TEST(LossAudit, TokenAggregateIsOfSinglePositions) {
  const test::TaskOnModel fixture = test::end_to_end("llama");
  const std::int64_t last = fixture.checkpoint.config().layers - 1;
  std::vector<const AnswerExample*> examples;
  for (std::size_t e = 0; e < 3; ++e) examples.push_back(&fixture.examples[e]);
  const Batch batch = answer_batch(examples);
  const std::vector<SiteUnit> units = {{Site::kAct, last, 2}, {Site::kOut, last, 5}};
  UnitOffOptions each_position;
  each_position.off_at = OffAt::kEachPositionToo;
  const LossChanges changes = unit_loss_changes(fixture.decoder, batch, units, each_position);
  const at::NoGradGuard no_gradients;
  for (std::size_t u = 0; u < units.size(); ++u) {
    NeuronSet set;
    const SiteShape shape = site_shape(fixture.checkpoint.config(), units[u].site);
    set.sites[units[u].site] = {shape.width, std::vector<std::vector<std::int64_t>>(
                                                 static_cast<std::size_t>(shape.layers))};
    set.sites[units[u].site].units.back() = {units[u].unit};
    SetHook off(set, 0);
    const at::Tensor nll = fixture.decoder.target_nll(fixture.decoder.features(batch, off), batch);
    const at::Tensor sizes = example_losses(batch, (nll - changes.nll).abs());
    EXPECT_CLOSE(changes.position_changes.select(1, static_cast<std::int64_t>(u)), sizes, 1e-3);
  }
}

TEST(LossAudit, TokenAggregateIsComparedWithItself) {
  const test::TaskOnModel fixture = test::end_to_end("llama");
  FidelityOptions options = small_options();
  options.scoring.aggregate = Aggregate::kToken;
  options.units = 30;
  const LossAudit audit =
      audit_loss(fixture.checkpoint, fixture.decoder, fixture.examples, options, kNoProgress);
  double relevance = 0, change = 0, whole = 0;
  for (const UnitAudit& unit : audit.units) {
    relevance += unit.relevance;
    change += unit.change;
    whole += std::abs(unit.signed_change);
  }
  EXPECT_GT(audit.pearson, 0.98);
  EXPECT_NEAR(change / relevance, 1, 0.1);
  EXPECT_GT(change, 1.2 * whole);  // positions do not cancel
}

// Shards of one example each: the relevance of `units` units is its own mean and this example's
// noise.
std::vector<Scores> drawn_shards(std::int64_t units, std::int64_t examples, Random& random) {
  std::vector<Scores> shards;
  for (std::int64_t e = 0; e < examples; ++e) {
    Scores& shard = shards.emplace_back();
    shard.examples = shard.denominator = 1;
    at::Tensor values = at::empty({1, units}, at::kDouble);
    for (std::int64_t unit = 0; unit < units; ++unit) {
      const double mean = static_cast<double>(unit) / static_cast<double>(units);
      values[0][unit] = mean + 2 * random.uniform();
    }
    shard.sites[Site::kAct] = {values, values, values, values * values};
  }
  return shards;
}

// The spread of one run is what runs on other examples differ by; that over orders is not.
TEST(Stability, SpreadIsThatBetweenSetsOfExamples) {
  FidelityOptions options;
  options.percent = 20;
  options.orders = 5;
  Random random(3, "stability");
  std::vector<double> jaccards;
  double variance = 0;
  constexpr int kRuns = 150;
  for (int run = 0; run < kRuns; ++run) {
    const Stability found = stability_of(drawn_shards(60, 16, random), options);
    ASSERT_TRUE(found.quarters.has_value());
    EXPECT_EQ(found.quarters->examples, 4);
    variance += found.quarters->deviation * found.quarters->deviation / kRuns;
    // One pair of quarters of examples of its own.
    options.orders = 1;
    jaccards.push_back(stability_of(drawn_shards(60, 8, random), options).half_jaccard);
    options.orders = 5;
  }
  const double truth = standard_deviation(jaccards);
  EXPECT_NEAR(std::sqrt(variance) / truth, 1, 0.2);
  EXPECT_FALSE(stability_of(drawn_shards(60, 3, random), options).quarters.has_value());
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

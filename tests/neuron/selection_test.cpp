#include "taskneuron/neuron/selection.h"

#include <algorithm>
#include <numeric>

#include "base/file.h"
#include "support/support.h"
#include "taskneuron/checkpoint/checkpoint.h"
#include "taskneuron/neuron/comparison.h"

namespace taskneuron {
namespace {

using Units = std::vector<std::vector<std::int64_t>>;

const at::Tensor kRelevance =
    at::tensor({5.0, 1.0, 5.0, 0.0, 2.0, 9.0, 3.0, 4.0}, at::kDouble).view({2, 4});

TEST(Selection, CountsRoundHalfUp) {
  EXPECT_EQ(units_of_percent(10, 264), 26);
  EXPECT_EQ(units_of_percent(10, 265), 27);
  EXPECT_EQ(units_of_percent(0.1, 500), 1);  // 0.5
  EXPECT_EQ(units_of_percent(0.0001, 500), 1);
  EXPECT_EQ(units_of_percent(100, 500), 500);
}

TEST(Selection, PercentagesAreChecked) {
  EXPECT_EQ(parse_percent("10%"), 10);
  EXPECT_EQ(parse_percent("2.5"), 2.5);
  EXPECT_EQ(parse_percent("0.1%"), 0.1);
  EXPECT_EQ(parse_percent("1"), 1);
  EXPECT_NE(test::error_of([&] { parse_percent("0.1"); }).find("may mean 10% or 0.1%"),
            std::string::npos);
  for (const char* wrong : {"0%", "101%", "-3", "ten", "", "%", "nan", "5%%"}) {
    EXPECT_NE(test::error_of([&] { parse_percent(wrong); }).find("not a share"), std::string::npos);
  }
}

TEST(Selection, TopUnitsByScopeWithTiesToTheFirst) {
  const SiteRelevance relevance = {{Site::kAct, kRelevance}};
  EXPECT_EQ(select_top(relevance, 25, Scope::kGlobal).sites.at(Site::kAct).units,
            (Units{{0}, {1}}));
  EXPECT_EQ(select_top(relevance, 50, Scope::kGlobal).sites.at(Site::kAct).units,
            (Units{{0, 2}, {1, 3}}));
  EXPECT_EQ(select_top(relevance, 25, Scope::kLayer).sites.at(Site::kAct).units, (Units{{0}, {1}}));
  EXPECT_EQ(select_top(relevance, 75, Scope::kLayer).sites.at(Site::kAct).units,
            (Units{{0, 1, 2}, {1, 2, 3}}));
}

// Every dose is a prefix of one order, ties by layer, then site, then unit.
TEST(Ranking, IsOneOrderOfAllUnits) {
  at::manual_seed(4);
  const SiteRelevance relevance = {
      {Site::kAct, at::randint(0, 4, {3, 5}, at::kDouble)},  // many ties
      {Site::kOut, at::randint(0, 4, {3, 2}, at::kDouble)}};
  const Ranking ranking(relevance);
  ASSERT_EQ(ranking.size(), 21);
  const auto key = [&](const SiteUnit& unit) {
    const double value = relevance.at(unit.site)[unit.layer][unit.unit].item<double>();
    return std::tuple(-value, unit.layer, unit.site, unit.unit);
  };
  for (std::size_t i = 1; i < ranking.units().size(); ++i) {
    EXPECT_LT(key(ranking.units()[i - 1]), key(ranking.units()[i]));
  }
  for (const double percent : {1.0, 10.0, 33.0, 60.0, 100.0}) {
    const NeuronSet top = ranking.top(percent, Scope::kGlobal);
    ASSERT_EQ(top.size(), units_of_percent(percent, 21));
    for (std::int64_t i = 0; i < top.size(); ++i) {
      const SiteUnit& unit = ranking.units()[static_cast<std::size_t>(i)];
      const auto& units = top.sites.at(unit.site).units[static_cast<std::size_t>(unit.layer)];
      EXPECT_TRUE(std::binary_search(units.begin(), units.end(), unit.unit));
    }
    // Within a layer: as the top of that layer alone.
    const NeuronSet by_layer = ranking.top(percent, Scope::kLayer);
    for (std::int64_t l = 0; l < 3; ++l) {
      SiteRelevance alone;
      for (const auto& [site, values] : relevance) alone[site] = values.narrow(0, l, 1);
      const NeuronSet expected = Ranking(alone).top(percent, Scope::kGlobal);
      for (const auto& [site, units] : by_layer.sites) {
        EXPECT_EQ(units.units[static_cast<std::size_t>(l)], expected.sites.at(site).units[0]);
      }
    }
  }
}

TEST(Ranking, RefusesWhatIsNotFinite) {
  const SiteRelevance relevance = {{Site::kAct, at::tensor({1.0, NAN}, at::kDouble).view({2, 1})}};
  EXPECT_EQ(test::error_of([&] { Ranking ranking(relevance); }),
            "relevance of unit 0 in layer 1 at site act is not finite");
}

TEST(Selection, PaperPresetRanksSitesTogether) {
  const SiteRelevance relevance = {
      {Site::kAct, kRelevance},
      {Site::kOut, at::tensor({10.0, 0.5, 0.5, 20.0}, at::kDouble).view({2, 2})}};
  const NeuronSet set = select_top(relevance, 25, Scope::kGlobal);
  EXPECT_EQ(set.size(), 3);
  EXPECT_EQ(set.sites.at(Site::kAct).units, (Units{{}, {1}}));
  EXPECT_EQ(set.sites.at(Site::kOut).units, (Units{{0}, {1}}));
}

TEST(Selection, ContrastSubtractsTheOthersMean) {
  const SiteRelevance one = {{Site::kAct, kRelevance}};
  const SiteRelevance twice = {{Site::kAct, kRelevance * 2}};
  const SiteRelevance zero = {{Site::kAct, kRelevance * 0}};
  EXPECT_CLOSE(contrastive(one, {twice, zero}).at(Site::kAct) + 1, at::ones({2, 4}), 1e-12);
  EXPECT_NE(test::error_of([&] {
              contrastive(one, {{{Site::kAct, at::ones({1, 4})}}});
            }).find("another shape"),
            std::string::npos);
}

NeuronSet example_set() {
  NeuronSet set;
  set.model_hash = "sha256:x";
  set.sites[Site::kAct] = {100, {{1, 5, 7}, {}, {0, 99}}};
  set.from = {{"top", "1%"}};
  return set;
}

std::vector<std::vector<std::int64_t>> act_units(const NeuronSet& set) {
  return set.sites.at(Site::kAct).units;
}

TEST(RandomSets, KeepSizeAndProfile) {
  const NeuronSet like = example_set();
  const NeuronSet matched = random_set(like, {RandomKind::kMatched, "t", 3, 0});
  for (std::size_t l = 0; l < 3; ++l) {
    EXPECT_EQ(act_units(matched)[l].size(), act_units(like)[l].size());
  }
  EXPECT_EQ(random_set(like, {RandomKind::kUniform, "t", 3, 0}).size(), 5);
  EXPECT_EQ(act_units(random_set(like, {RandomKind::kMatched, "t", 3, 0})), act_units(matched));
}

// 1000 units of three layers; 200 in the set, 100 of them in the first layer.
NeuronSet large_set() {
  NeuronSet set = example_set();
  auto& site = set.sites[Site::kAct];
  site = {1000, {{}, {}, {}}};
  for (std::int64_t unit = 0; unit < 100; ++unit) site.units[0].push_back(10 * unit);
  for (std::int64_t unit = 0; unit < 50; ++unit) site.units[1].push_back(20 * unit);
  for (std::int64_t unit = 0; unit < 50; ++unit) site.units[2].push_back(20 * unit + 1);
  return set;
}

// Sets that differ in anything share about as many units as chance alone has in common.
TEST(RandomSets, ShareNoRandomness) {
  const NeuronSet like = large_set();
  NeuronSet other_like = like;
  other_like.sites[Site::kAct].units[0].pop_back();
  for (const RandomKind kind : {RandomKind::kMatched, RandomKind::kUniform, RandomKind::kOutside}) {
    const std::vector<NeuronSet> sets = {
        random_set(like, {kind, "a", 0, 0}), random_set(like, {kind, "a", 0, 1}),
        random_set(like, {kind, "a", 1, 0}), random_set(like, {kind, "a", 1, 1}),
        random_set(like, {kind, "b", 0, 0}), random_set(other_like, {kind, "a", 0, 0})};
    for (std::size_t i = 0; i < sets.size(); ++i) {
      for (std::size_t j = 0; j < i; ++j) {
        // 10 + 2.5 + 2.5 expected for matched ones; outside ones come from nine tenths of a layer.
        EXPECT_LT(units_in_common(sets[i], sets[j]), 40) << random_kind_name(kind) << i << j;
      }
    }
  }
}

TEST(RandomSets, ReportWhatTheyShareWithTheOwnSet) {
  const NeuronSet like = large_set();
  const NeuronSet matched = random_set(like, {RandomKind::kMatched, "t", 3, 7});
  EXPECT_GT(units_in_common(like, matched), 0);
  EXPECT_EQ(matched.from.at("in_common"), std::to_string(units_in_common(like, matched)));
  EXPECT_EQ(matched.from.at("task"), "t");
  EXPECT_EQ(matched.from.at("draw"), "7");
  EXPECT_EQ(units_in_common(like, like), like.size());
}

TEST(RandomSets, OutsideHoldsNoneOfTheOwnUnits) {
  NeuronSet like = large_set();
  const NeuronSet outside = random_set(like, {RandomKind::kOutside, "t", 0, 0});
  EXPECT_EQ(units_in_common(like, outside), 0);
  for (std::size_t l = 0; l < 3; ++l) {
    EXPECT_EQ(act_units(outside)[l].size(), act_units(like)[l].size());
    const std::vector<std::int64_t> units = act_units(outside)[l];
    EXPECT_TRUE(std::is_sorted(units.begin(), units.end()));
  }
  EXPECT_TRUE(exhausted_layers(like).empty());
  // Of the first layer 700 are in: the other 300 are all that can be drawn.
  like.sites[Site::kAct].units[0].clear();
  for (std::int64_t unit = 0; unit < 700; ++unit) like.sites[Site::kAct].units[0].push_back(unit);
  const std::vector<ExhaustedLayer> exhausted = exhausted_layers(like);
  ASSERT_EQ(exhausted.size(), 1);
  EXPECT_EQ(exhausted[0].layer, 0);
  EXPECT_EQ(exhausted[0].outside, 300);
  const NeuronSet rest = random_set(like, {RandomKind::kOutside, "t", 0, 0});
  EXPECT_EQ(act_units(rest)[0].size(), 300);
  EXPECT_EQ(act_units(rest)[0].front(), 700);
  EXPECT_EQ(rest.from.at("missing"), "400");
}

TEST(SetFiles, RoundTripAndAreChecked) {
  const test::TemporaryFolder folder;
  const NeuronSet set = example_set();
  save_set(set, folder / "s.json");
  const NeuronSet loaded = load_set(folder / "s.json");
  EXPECT_EQ(loaded.sites.at(Site::kAct).units, set.sites.at(Site::kAct).units);
  EXPECT_EQ(loaded.model_hash, set.model_hash);
  EXPECT_EQ(loaded.from, set.from);
  const auto problem = [&](const std::string& units) {
    write_file(folder / "bad.json",
               R"({"format":"taskneuron.set/1","model":"m","width":{"act":4},"sites":{"act":)" +
                   units + "}}");
    return test::error_of([&] { load_set(folder / "bad.json"); });
  };
  EXPECT_NE(problem("[[0,4]]").find("unit 4 is out of range"), std::string::npos);
  EXPECT_NE(problem("[[2,1]]").find("must ascend"), std::string::npos);
  EXPECT_NE(problem("[[\"a\"]]").find("expected an integer"), std::string::npos);
  write_file(folder / "later.json",
             R"({"format":"taskneuron.set/1","model":"m","weights":{"act":[1]},"width":{"act":4},)"
             R"("sites":{"act":[[1]]},"from":{"version":"9.1.0"}})");
  const std::string later = test::error_of([&] { load_set(folder / "later.json"); });
  EXPECT_NE(later.find("holds 'weights', which taskneuron"), std::string::npos) << later;
  EXPECT_NE(later.find("written by version 9.1.0"), std::string::npos) << later;
  const Checkpoint llama(test::fixtures() / "hf_parity/llama");
  EXPECT_NE(test::error_of([&] {
              require_fit(set, llama.config(), llama.hash(), OtherWeights::kAllow, "s.json");
            }).find("s.json: site act has 3 layers of 100 units, the model 3 of 88"),
            std::string::npos);
  NeuronSet fits = set;
  fits.sites[Site::kAct] = {88, {{1}, {}, {0}}};
  EXPECT_NE(test::error_of([&] {
              require_fit(fits, llama.config(), llama.hash(), OtherWeights::kRefuse, "s.json");
            }).find("`allow_other_weights`"),
            std::string::npos);
  require_fit(fits, llama.config(), llama.hash(), OtherWeights::kAllow, "s.json");
}

TEST(Comparison, ExpectedOverlapMatchesSimulation) {
  NeuronSet a = example_set(), b = example_set();
  a.sites[Site::kAct] = {12, {{0, 1, 2, 3}, {5, 6}}};
  b.sites[Site::kAct] = {12, {{2, 3, 4, 5, 6}, {6, 7, 8}}};
  const SetComparison exact = compare_sets(a, b);
  EXPECT_EQ(exact.common, 3);
  EXPECT_NEAR(exact.jaccard, 3.0 / 11, 1e-12);
  double common = 0, jaccard = 0;
  constexpr int kDraws = 20000;
  for (int seed = 0; seed < kDraws; ++seed) {
    const SetComparison drawn =
        compare_sets(a, random_set(b, {RandomKind::kMatched, "b", 0, seed}));
    common += static_cast<double>(drawn.common) / kDraws;
    jaccard += drawn.jaccard / kDraws;
  }
  EXPECT_NEAR(exact.expected_common, common, 0.03);
  EXPECT_NEAR(exact.expected_jaccard, jaccard, 0.003);
}

TEST(Comparison, IdenticalScoresCorrelateFully) {
  const SiteRelevance one = {{Site::kAct, kRelevance}};
  const ScoreComparison same = compare_relevance(one, one);
  EXPECT_NEAR(same.pearson, 1, 1e-12);
  EXPECT_NEAR(same.spearman, 1, 1e-12);
  const NeuronSet top = select_top(one, 50, Scope::kGlobal);
  EXPECT_EQ(compare_sets(top, top).common, 4);
}

TEST(MixedSet, HoldsTheShareThatWasAskedFor) {
  NeuronSet like;
  like.sites[Site::kAct].width = 40;
  like.sites[Site::kAct].units = {{0, 1, 2, 3, 4, 5, 6}, {3, 9, 12}, {}, Units::value_type(30)};
  std::iota(like.sites[Site::kAct].units[3].begin(), like.sites[Site::kAct].units[3].end(), 0);
  for (const double share : {0.0, 0.25, 0.5, 1.0}) {
    const NeuronSet set = mixed_set(like, share, {RandomKind::kMatched, "task", 3, 1});
    std::int64_t in_common = units_in_common(like, set);
    for (std::size_t l = 0; l < 4; ++l) {
      const auto& units = set.sites.at(Site::kAct).units[l];
      EXPECT_EQ(units.size(), like.sites.at(Site::kAct).units[l].size());
      EXPECT_TRUE(std::is_sorted(units.begin(), units.end()));
      EXPECT_TRUE(std::adjacent_find(units.begin(), units.end()) == units.end());
    }
    // The last layer has ten units outside: twenty of its thirty are the task's at any rate.
    const auto others = static_cast<double>(10);
    if (share < 0.6) {
      EXPECT_NEAR(static_cast<double>(in_common), 20 + share * others, 1) << share;
    } else {
      EXPECT_EQ(in_common, 40);
    }
    EXPECT_EQ(set.from.at("in_common"), std::to_string(in_common));
  }
  EXPECT_NE(mixed_set(like, 0.5, {RandomKind::kMatched, "task", 3, 1}).units(),
            mixed_set(like, 0.5, {RandomKind::kMatched, "task", 3, 2}).units());
}

}  // namespace
}  // namespace taskneuron

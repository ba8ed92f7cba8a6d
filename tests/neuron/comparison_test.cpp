#include "taskneuron/neuron/comparison.h"

#include <cmath>

#include "base/file.h"
#include "base/json.h"
#include "neuron/overlap_chance.h"
#include "neuron/pair_chance.h"
#include "support/support.h"
#include "taskneuron/base/random.h"
#include "taskneuron/neuron/selection.h"
#include "taskneuron/neuron/set_algebra.h"
#include "taskneuron/neuron/shared_core.h"

namespace taskneuron {
namespace {

// Made by SciPy: tests/goldens/make_overlap.py.
const Json& golden() {
  static const Json json = Json::parse(read_file(test::fixtures() / "statistics" / "overlap.json"));
  return json;
}

// A set with units first .. first + size − 1 of every layer.
NeuronSet set_of(const std::vector<std::int64_t>& sizes, std::int64_t width,
                 std::int64_t first = 0) {
  NeuronSet set;
  set.sites[Site::kAct].width = width;
  for (const std::int64_t size : sizes) {
    auto& units = set.sites[Site::kAct].units.emplace_back();
    for (std::int64_t unit = first; unit < first + size; ++unit) units.push_back(unit);
  }
  return set;
}

void expect_close(double found, double expected, double tolerance = 1e-9) {
  EXPECT_TRUE(std::abs(found - expected) <= tolerance * std::max(std::abs(expected), 1e-300))
      << found << " instead of " << expected;
}

TEST(OverlapChance, OfPairsAgreesWithSciPy) {
  for (const char* cases : {"pairs", "small"}) {
    for (const auto& row : golden()[cases]) {
      std::vector<PairLayer> layers;
      for (const auto& layer : row["layers"]) layers.push_back({layer[0], layer[1], layer[2]});
      const PairChance chance(layers);
      expect_close(chance.expected_common(), row["expected_common"]);
      expect_close(chance.expected_jaccard(), row["expected_jaccard"]);
      expect_close(chance.p(row["common"]), row["p"]);
    }
  }
  EXPECT_EQ(golden()["small"].size(), 1000);
}

TEST(OverlapChance, OfSeveralSetsAgreesWithSciPy) {
  for (const auto& row : golden()["joint"]) {
    CountChances chances;
    for (const auto& layer : row["layers"]) {
      chances = convolve(chances, common_to_all_chances(layer[0], layer[1]));
    }
    expect_close(upper_tail(chances, row["common"]), row["p"]);
  }
}

TEST(OverlapChance, DrawsFollowTheDistribution) {
  for (const auto& [width, a, b] : {std::tuple<std::int64_t, std::int64_t, std::int64_t>{30, 8, 11},
                                    {30, 25, 20},
                                    {30, 0, 5},
                                    {30, 30, 5}}) {
    const CountChances chances = common_chances(width, a, b);
    const CommonDraw draw_common(30);
    std::vector<double> drawn(static_cast<std::size_t>(chances.end()), 0.0);
    Random random(5, "drawn overlaps");
    constexpr int kDraws = 40000;
    for (int i = 0; i < kDraws; ++i) {
      drawn.at(static_cast<std::size_t>(draw_common(width, a, b, random))) += 1.0 / kDraws;
    }
    for (std::size_t i = 0; i < chances.chance.size(); ++i) {
      EXPECT_NEAR(drawn[static_cast<std::size_t>(chances.first) + i], chances.chance[i], 0.012);
    }
  }
}

TEST(Comparison, SaysHowMuchMoreThanChance) {
  const NeuronSet a = set_of({77, 77, 77}, 768);
  const SetComparison same = compare_sets(a, a);
  EXPECT_EQ(same.jaccard, 1);
  expect_close(same.ratio.value(), 1 / same.expected_jaccard);
  EXPECT_LE(same.p, 1e-250);
  EXPECT_GE(same.p, kSmallestOverlapP);
  EXPECT_DOUBLE_EQ(compare_sets(a, set_of({77, 77, 77}, 768, 300)).p,
                   1);  // none in common: no less can be
  const NeuronSet empty = set_of({0, 0, 0}, 768);
  EXPECT_FALSE(compare_sets(empty, empty).ratio.has_value());
  EXPECT_EQ(compare_sets(empty, a).p, 1);
}

// A thousand pairs of small sets, counted unit by unit.
TEST(Comparison, AThousandSmallPairsByHand) {
  Random random(12, "small pairs");
  for (int i = 0; i < 1000; ++i) {
    const auto width = static_cast<std::int64_t>(1 + random.below(70));
    const std::uint64_t layers = 1 + random.below(3);
    NeuronSet a, b;
    a.sites[Site::kAct].width = b.sites[Site::kAct].width = width;
    std::int64_t common = 0, in_any = 0;
    for (std::uint64_t l = 0; l < layers; ++l) {
      auto& of_a = a.sites[Site::kAct].units.emplace_back();
      auto& of_b = b.sites[Site::kAct].units.emplace_back();
      for (std::int64_t unit = 0; unit < width; ++unit) {
        const bool in_a = random.below(3) == 0, in_b = random.below(2) == 0;
        if (in_a) of_a.push_back(unit);
        if (in_b) of_b.push_back(unit);
        common += in_a && in_b ? 1 : 0;
        in_any += in_a || in_b ? 1 : 0;
      }
    }
    const SetComparison found = compare_sets(a, b);
    EXPECT_EQ(found.common, common);
    EXPECT_EQ(found.in_any, in_any);
    EXPECT_DOUBLE_EQ(found.jaccard,
                     in_any == 0 ? 0 : static_cast<double>(common) / static_cast<double>(in_any));
  }
}

// Bitmaps against merged lists, on widths that end within a word; layers add up to their pair.
TEST(Comparison, EveryTwoOfManyAsTwoByThemselves) {
  Random random(11, "every two");
  std::vector<NeuronSet> sets(6);
  for (std::size_t s = 0; s < sets.size(); ++s) {
    sets[s].sites[Site::kAct].width = 200;
    sets[s].sites[Site::kOut].width = 65;
    for (int l = 0; l < 3; ++l) {
      // The first two have the same sizes, the third is empty.
      const std::uint64_t size = s < 2 ? 30 : s == 2 ? 0 : random.below(66);
      for (auto& item : sets[s].sites) {
        item.second.units.push_back(
            random.sample(item.second.width, static_cast<std::int64_t>(size)));
      }
    }
  }
  std::vector<const NeuronSet*> pointers;
  for (const NeuronSet& set : sets) pointers.push_back(&set);
  const std::vector<SetComparison> found = compare_all(pointers);
  ASSERT_EQ(found.size(), 15);
  std::size_t next = 0;
  for (std::size_t i = 0; i < sets.size(); ++i) {
    for (std::size_t j = i + 1; j < sets.size(); ++j, ++next) {
      const SetComparison alone = compare_sets(sets[i], sets[j]);
      EXPECT_EQ(found[next].first, alone.first);
      EXPECT_EQ(found[next].second, alone.second);
      EXPECT_EQ(found[next].common, units_in_common(sets[i], sets[j]));
      EXPECT_EQ(found[next].in_any, union_of({sets[i], sets[j]}).size());
      EXPECT_EQ(found[next].jaccard, alone.jaccard);
      EXPECT_EQ(found[next].expected_jaccard, alone.expected_jaccard);
      EXPECT_EQ(found[next].p, alone.p);
      std::int64_t common = 0;
      for (const LayerComparison& layer : compare_layers(sets[i], sets[j])) {
        common += layer.overlap.common;
        EXPECT_TRUE(layer.overlap.p > 0 && layer.overlap.p <= 1);
      }
      EXPECT_EQ(common, alone.common);
    }
  }
  EXPECT_TRUE(compare_all({}).empty());
  EXPECT_TRUE(compare_all({pointers.front()}).empty());
}

TEST(Comparison, UnionsAgainstIndependentMembers) {
  // One layer of the fixture's second case: 20 units, two sets of 6 and two of 5.
  const auto& row = golden()["independent"][1];
  const std::vector<NeuronSet> first = {set_of({6}, 20, 0), set_of({6}, 20, 6)};
  const std::vector<NeuronSet> second = {set_of({5}, 20, 2), set_of({5}, 20, 7)};
  EXPECT_EQ(union_of(first).size(), 12);
  const IndependentChance chance = independent_chance(first, second, 3);
  expect_close(chance.expected_common, row["expected_common"]);
  EXPECT_NEAR(chance.expected_jaccard, row["expected_jaccard"], 0.005);
  // The fixture's p is of a Jaccard index of 1/2; these unions have 10 of 12.
  EXPECT_LT(chance.p, row["p"].get<double>());
  const std::vector<NeuronSet> half = {set_of({5}, 20, 4), set_of({5}, 20, 9)};  // 8 of 14
  const IndependentChance nearer = independent_chance(first, half, 3);
  EXPECT_GT(nearer.p, chance.p);
  EXPECT_EQ(nearer.p, independent_chance(first, half, 3).p);
  EXPECT_EQ(nearer.draws, 10000);
}

// By hand, with the draws that independent_chance makes: the fixture goes through every outcome.
TEST(Comparison, IndependentDrawsAgreeWithEveryOutcome) {
  const auto& row = golden()["independent"][0];
  NeuronSet a = set_of({3, 2}, 12), b = set_of({4, 2}, 12), c = set_of({0, 1}, 12);
  NeuronSet d = set_of({2, 4}, 12), e = set_of({5, 0}, 12);
  // Layers of 12 and 10 units: two sites, one layer each.
  for (NeuronSet* set : {&a, &b, &c, &d, &e}) {
    auto& act = set->sites[Site::kAct];
    set->sites[Site::kOut] = {10, {act.units[1]}};
    act.units.pop_back();
  }
  const auto move = [](NeuronSet& set, std::int64_t act, std::int64_t out) {
    for (std::int64_t& unit : set.sites[Site::kAct].units[0]) unit += act;
    for (std::int64_t& unit : set.sites[Site::kOut].units[0]) unit += out;
  };
  // Unions of 7 and 7 units at act with 5 in common, of 5 and 4 at out with 3: 8 of 15.
  move(b, 3, 2);
  move(c, 0, 4);
  move(d, 2, 2);
  move(e, 4, 0);
  const IndependentChance chance = independent_chance({a, b, c}, {d, e}, 1);
  const SetComparison found = compare_sets(union_of({a, b, c}), union_of({d, e}));
  EXPECT_EQ(found.common, 8);
  EXPECT_NEAR(found.jaccard, row["jaccard"], 1e-12);
  expect_close(chance.expected_common, row["expected_common"]);
  EXPECT_NEAR(chance.expected_jaccard, row["expected_jaccard"], 0.006);
  EXPECT_NEAR(chance.p, row["p"], 4 * std::sqrt(0.25 / 10000));
}

TEST(Comparison, OfAllTogether) {
  const JointOverlap joint =
      joint_overlap({set_of({4, 4}, 8), set_of({4, 4}, 8, 2), set_of({4, 4}, 8, 3)});
  EXPECT_EQ(joint.common, 2);   // unit 3
  EXPECT_EQ(joint.in_any, 14);  // units 0 to 6
  expect_close(joint.expected_common, 2 * 8 / 8.0);
  expect_close(joint.expected_in_any, 14);
  expect_close(joint.ratio.value(), 1);
}

TEST(Comparison, DifferentShapesAreRefused) {
  EXPECT_NE(test::error_of([] {
              union_of({set_of({1}, 4), set_of({1}, 5)});
            }).find("different shapes (act 1 x 4; act 1 x 5)"),
            std::string::npos);
  EXPECT_NE(test::error_of([] {
              joint_overlap({set_of({1}, 4), set_of({1, 1}, 4)});
            }).find("different shapes"),
            std::string::npos);
}

}  // namespace
}  // namespace taskneuron

#include "taskneuron/neuron/shared_core.h"

#include <cmath>

#include "support/support.h"
#include "taskneuron/base/random.h"
#include "taskneuron/neuron/set_algebra.h"

namespace taskneuron {
namespace {

using Layers = std::vector<std::vector<std::int64_t>>;

NeuronSet set_of(Layers layers, std::int64_t width) {
  NeuronSet set;
  set.sites[Site::kAct] = {width, std::move(layers)};
  return set;
}

TEST(SharedCore, CountsByHand) {
  const SharedCore found = shared_core(
      {set_of({{0, 2, 5}, {7}}, 8), set_of({{2, 3, 5}, {}}, 8), set_of({{1, 2}, {7}}, 8)}, {});
  ASSERT_EQ(found.core.size(), 3);
  const std::vector<std::int64_t> units = {6, 3, 1};
  const Layers layers = {{5, 1}, {2, 1}, {1, 0}};
  for (std::size_t m = 0; m < 3; ++m) {
    EXPECT_EQ(found.core[m].m, static_cast<std::int64_t>(m) + 1);
    EXPECT_EQ(found.core[m].units, units[m]);
    EXPECT_EQ(found.core[m].layers.at(Site::kAct), layers[m]);
  }
  // Layer 0: shares 3/8, 3/8, 2/8; layer 1: 1/8, 0, 1/8.
  EXPECT_NEAR(found.core[0].expected, 8 * (1 - 5. * 5 * 6 / 512) + 8 * (1 - 7. * 7 / 64), 1e-12);
  const double two = 3. * 3 * 6 + 2 * 3. * 5 * 2, three = 3. * 3 * 2;
  EXPECT_NEAR(found.core[1].expected, 8 * (two + three) / 512 + 8. / 64, 1e-12);
  EXPECT_NEAR(found.core[2].expected, 8 * three / 512, 1e-12);
  EXPECT_NEAR(found.core[2].ratio.value(), 1 / found.core[2].expected, 1e-12);
  EXPECT_EQ(found.privates[0].units, 1);
  EXPECT_EQ(found.privates[1].units, 1);
  EXPECT_EQ(found.privates[2].layers.at(Site::kAct), (std::vector<std::int64_t>{1, 0}));
  EXPECT_NEAR(found.privates[0].expected, 3 * 5. * 6 / 64 + 1 * 7. / 8, 1e-12);
}

TEST(SharedCore, AgreesWithTheAlgebra) {
  Random random(5, "shared core");
  std::vector<NeuronSet> sets;
  for (const std::int64_t size : {20, 35, 8, 40}) {
    sets.push_back(set_of({random.sample(60, size), random.sample(60, 10)}, 60));
  }
  const SharedCore found = shared_core(sets, {.m = {}, .seed = 1, .draws = 50});
  EXPECT_EQ(found.draws, 50);
  for (const CoreUnits& core : found.core) EXPECT_EQ(core.units, at_least(core.m, sets).size());
  for (std::size_t s = 0; s < sets.size(); ++s) {
    std::vector<NeuronSet> order = sets;
    std::swap(order[0], order[s]);
    EXPECT_EQ(found.privates[s].units, difference_of(order).size());
  }
  const SharedCore one = shared_core(sets, {.m = 2, .seed = 1, .draws = 50});
  ASSERT_EQ(one.core.size(), 1);
  EXPECT_EQ(one.core[0].p, found.core[1].p);
  EXPECT_EQ(found.core[3].p, joint_overlap(sets).p);
}

// The p of at least two against every way in which three sets can lie.
TEST(SharedCore, DrawsAgreeWithEveryOutcome) {
  constexpr unsigned kUnits = 6;
  const auto of_size = [](int size) {
    std::vector<unsigned> sets;
    for (unsigned bits = 0; bits < 1u << kUnits; ++bits) {
      if (__builtin_popcount(bits) == size) sets.push_back(bits);
    }
    return sets;
  };
  double outcomes = 0, reached = 0;
  for (const unsigned a : of_size(2)) {
    for (const unsigned b : of_size(3)) {
      for (const unsigned c : of_size(2)) {
        ++outcomes;
        reached += __builtin_popcount((a & b) | (a & c) | (b & c)) >= 3;
      }
    }
  }
  // Units 0 to 2 are in two sets each.
  const SharedCore found =
      shared_core({set_of({{0, 1}}, 6), set_of({{0, 1, 2}}, 6), set_of({{2, 3}}, 6)},
                  {.m = 2, .seed = 4, .draws = {}});
  EXPECT_EQ(found.core[0].units, 3);
  EXPECT_NEAR(found.core[0].p, reached / outcomes, 4 * std::sqrt(0.25 / 9999));
  EXPECT_NEAR(found.core[0].p, reached / outcomes, 0.3 * reached / outcomes);
}

// Of `units` units, every set of each size, as bits.
std::vector<std::vector<unsigned>> every_set(unsigned units) {
  std::vector<std::vector<unsigned>> by_size(units + 1);
  for (unsigned bits = 0; bits < 1u << units; ++bits) {
    by_size[static_cast<std::size_t>(__builtin_popcount(bits))].push_back(bits);
  }
  return by_size;
}

NeuronSet set_of_bits(unsigned bits, unsigned units) {
  std::vector<std::int64_t> chosen;
  for (unsigned unit = 0; unit < units; ++unit) {
    if ((bits >> unit & 1) != 0) chosen.push_back(unit);
  }
  return set_of({chosen}, units);
}

// Three sets of a few units, a thousand times, against every way in which sets of their sizes can
// lie: what all have, what two have, and how rare that is.
TEST(SharedCore, AThousandSmallCasesAgreeWithEveryOutcome) {
  constexpr unsigned kUnits = 6;
  constexpr std::int64_t kDraws = 400;
  const std::vector<std::vector<unsigned>> every = every_set(kUnits);
  const auto in_two = [](unsigned a, unsigned b, unsigned c) {
    return (a & b) | (a & c) | (b & c);
  };
  Random random(6, "small cores");
  for (int i = 0; i < 1000; ++i) {
    std::vector<unsigned> bits;
    std::vector<NeuronSet> sets;
    for (int s = 0; s < 3; ++s) {
      bits.push_back(static_cast<unsigned>(random.below(1u << kUnits)));
      sets.push_back(set_of_bits(bits.back(), kUnits));
    }
    const int all = __builtin_popcount(bits[0] & bits[1] & bits[2]);
    const int two = __builtin_popcount(in_two(bits[0], bits[1], bits[2]));
    double outcomes = 0, as_many_in_all = 0, as_many_in_two = 0, sum_of_two = 0;
    const auto& of_size = [&](unsigned one) -> const std::vector<unsigned>& {
      return every[static_cast<std::size_t>(__builtin_popcount(one))];
    };
    for (const unsigned a : of_size(bits[0])) {
      for (const unsigned b : of_size(bits[1])) {
        for (const unsigned c : of_size(bits[2])) {
          ++outcomes;
          as_many_in_all += __builtin_popcount(a & b & c) >= all ? 1 : 0;
          const int here = __builtin_popcount(in_two(a, b, c));
          as_many_in_two += here >= two ? 1 : 0;
          sum_of_two += here;
        }
      }
    }
    const SharedCore found =
        shared_core(sets, {.m = {}, .seed = static_cast<std::uint64_t>(i), .draws = kDraws});
    EXPECT_EQ(found.core[1].units, two);
    EXPECT_EQ(found.core[2].units, all);
    EXPECT_NEAR(found.core[2].p, as_many_in_all / outcomes, 1e-12);
    EXPECT_NEAR(found.core[1].expected, sum_of_two / outcomes, 1e-9);
    const double p = as_many_in_two / outcomes;
    EXPECT_NEAR(found.core[1].p, p, 5 * std::sqrt(p * (1 - p) / kDraws) + 1.0 / kDraws);
    const JointOverlap joint = joint_overlap(sets);
    EXPECT_EQ(joint.common, all);
    EXPECT_EQ(joint.in_any, __builtin_popcount(bits[0] | bits[1] | bits[2]));
    EXPECT_NEAR(joint.p, as_many_in_all / outcomes, 1e-12);
  }
}

TEST(SharedCore, FullAndEmptySets) {
  const std::vector<NeuronSet> sets = {set_of({{0, 1, 2}}, 3), set_of({{}}, 3), set_of({{1}}, 3)};
  const SharedCore found = shared_core(sets, {});
  EXPECT_EQ(found.core[0].p, 1);
  EXPECT_EQ(found.core[1].units, 1);
  EXPECT_EQ(found.core[1].p, 1);  // a set is all units: chance cannot do without
  EXPECT_FALSE(found.core[2].ratio.has_value());
  EXPECT_EQ(found.privates[0].units, 2);
}

}  // namespace
}  // namespace taskneuron

#include "taskneuron/continual/claims.h"

#include <gtest/gtest.h>

#include "base/torch_compat.h"
#include "taskneuron/neuron/selection.h"

namespace taskneuron {
namespace {

NeuronSet set_of(std::vector<std::vector<std::int64_t>> units, std::int64_t width) {
  NeuronSet set;
  set.sites[Site::kAct] = {width, std::move(units)};
  return set;
}

TEST(Claims, LowerWhatWasTrainedBefore) {
  const SiteRelevance relevance = {{Site::kAct, at::tensor({4.0, 3.0, 2.0, 1.0}).reshape({2, 2})}};
  const NeuronSet past = set_of({{0}, {1}}, 2);
  // Half counts: 2, 3, 2, .5.
  EXPECT_EQ(select_top(with_claims(relevance, {&past}, 0.5), 25, Scope::kGlobal).units(),
            (UnitsBySite{{Site::kAct, {{1}, {}}}}));
  // None counts: unclaimed ones first, then claimed ones by relevance.
  EXPECT_EQ(select_top(with_claims(relevance, {&past}, 0), 50, Scope::kGlobal).units(),
            (UnitsBySite{{Site::kAct, {{1}, {0}}}}));
  EXPECT_EQ(select_top(with_claims(relevance, {&past}, 0), 75, Scope::kGlobal).units(),
            (UnitsBySite{{Site::kAct, {{0, 1}, {0}}}}));
}

TEST(Claims, DisjointSetsShareNoUnitWhileSomeAreLeft) {
  const NeuronSet like = set_of({{0, 1, 2}, {0}}, 8);
  std::vector<NeuronSet> sets;
  sets.reserve(3);  // `past` points into it
  for (int task = 0; task < 3; ++task) {
    std::vector<const NeuronSet*> past;
    for (const NeuronSet& set : sets) past.push_back(&set);
    sets.push_back(disjoint_set(like, past, "task" + std::to_string(task), 7));
    EXPECT_EQ(sets.back().sites.at(Site::kAct).units[0].size(), 3u);
    EXPECT_EQ(sets.back().sites.at(Site::kAct).units[1].size(), 1u);
    // Layer 0 has room for two sets and two units of the third.
    EXPECT_EQ(claimed_before(sets.back(), past), task < 2 ? 0 : 1);
  }
  EXPECT_EQ(disjoint_set(like, {}, "task0", 7).units(), sets[0].units());
  EXPECT_NE(disjoint_set(like, {}, "task0", 8).units(), sets[0].units());
}

TEST(Claims, SoftRatesCompareRelevanceOfEqualMean) {
  const SiteRelevance now = {{Site::kAct, at::tensor({2.0, 2.0}).reshape({1, 2})}};
  const SiteRelevance before = {{Site::kAct, at::tensor({0.0, 40.0}).reshape({1, 2})}};
  // Scaled to means of 1: now 1, 1; before 0, 2.
  const at::Tensor rates = soft_rates(now, {before}).at(Site::kAct);
  EXPECT_NEAR(rates[0][0].item<double>(), 1, 1e-7);
  EXPECT_NEAR(rates[0][1].item<double>(), 1.0 / 3, 1e-7);
}

}  // namespace
}  // namespace taskneuron

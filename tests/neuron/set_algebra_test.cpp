#include "taskneuron/neuron/set_algebra.h"

#include "base/file.h"
#include "support/support.h"
#include "taskneuron/base/random.h"

namespace taskneuron {
namespace {

using Layers = std::vector<std::vector<std::int64_t>>;

NeuronSet set_of(Layers layers, std::int64_t width = 9) {
  NeuronSet set;
  set.model_hash = "sha256:one";
  set.sites[Site::kAct] = {width, std::move(layers)};
  return set;
}

Layers layers_of(const NeuronSet& set) { return set.sites.at(Site::kAct).units; }

TEST(SetAlgebra, OfThreeSetsByHand) {
  const std::vector<NeuronSet> sets = {set_of({{0, 2, 5}, {8}}), set_of({{2, 3, 5}, {}}),
                                       set_of({{1, 2, 8}, {8}})};
  EXPECT_EQ(layers_of(union_of(sets)), (Layers{{0, 1, 2, 3, 5, 8}, {8}}));
  EXPECT_EQ(layers_of(intersection_of(sets)), (Layers{{2}, {}}));
  EXPECT_EQ(layers_of(at_least(2, sets)), (Layers{{2, 5}, {8}}));
  EXPECT_EQ(layers_of(at_least(4, sets)), (Layers{{}, {}}));
  EXPECT_EQ(layers_of(difference_of(sets)), (Layers{{0}, {}}));
  EXPECT_EQ(union_of(sets).model_hash, "sha256:one");
}

// Every unit is in some number of sets: the pieces of the algebra add up to all of them.
TEST(SetAlgebra, PiecesAddUp) {
  Random random(3, "set algebra");
  for (int round = 0; round < 50; ++round) {
    std::vector<NeuronSet> sets;
    std::int64_t units = 0;
    for (int s = 0; s < 5; ++s) {
      sets.push_back(set_of({random.sample(40, random.below(41)), random.sample(40, 7)}, 40));
      units += sets.back().size();
    }
    std::int64_t counted = 0;
    for (std::int64_t m = 1; m <= 5; ++m) counted += at_least(m, sets).size();
    EXPECT_EQ(counted, units);
    std::vector<NeuronSet> others(sets.begin() + 1, sets.end());
    const NeuronSet shared = intersection_of({sets[0], union_of(others)});
    EXPECT_EQ(difference_of(sets).size() + shared.size(), sets[0].size());
  }
}

TEST(SetAlgebra, DifferentModelsAreRefusedByName) {
  const NeuronSet set = set_of({{1}, {2}}), wide = set_of({{1}, {2}}, 12);
  NeuronSet other = set;
  other.model_hash = "sha256:another";
  const auto error = [&](const NeuronSet& b) {
    return test::error_of(
        [&] { require_same_model(set, b, "a.json", "b.json", OtherWeights::kRefuse); });
  };
  EXPECT_NE(error(wide).find("a.json and b.json: sets of different shapes (act 2 x 9; act 2 x 12)"),
            std::string::npos);
  EXPECT_NE(error(other).find("`allow_other_weights`"), std::string::npos);
  require_same_model(set, other, "a.json", "b.json", OtherWeights::kAllow);
  EXPECT_NE(test::error_of([&] {
              union_of({set, wide});
            }).find("different shapes"),
            std::string::npos);
}

// A file that was edited by hand: the message says where the first slip is.
TEST(SetAlgebra, SlipsInAFileAreNamedWithTheirPlace) {
  const test::TemporaryFolder folder;
  const auto error = [&](const std::string& units, const std::string& width = "9") {
    write_file(folder / "s.json",
               R"({"format": "taskneuron.set/1", "model": "m", "sites": {"act": )" + units +
                   R"(}, "width": {"act": )" + width + "}}");
    return test::error_of([&] { load_set(folder / "s.json"); });
  };
  EXPECT_NE(error("[[1], [2, 7, 7]]").find("s.json: 'sites': 'act'[1][2]: unit 7 is there twice"),
            std::string::npos)
      << error("[[1], [2, 7, 7]]");
  EXPECT_NE(error("[[4, 1]]").find("'act'[0][1]: unit 1 comes after 4; unit ids must ascend"),
            std::string::npos);
  EXPECT_NE(error("[[9]]").find("unit 9 is out of range; the width is 9"), std::string::npos);
  EXPECT_NE(error("[[-1]]").find("unit -1 is out of range"), std::string::npos);
  EXPECT_NE(error("[[1.5]]").find("'act'[0][0]"), std::string::npos);
  EXPECT_NE(error("[[18446744073709551615]]").find("an integer"), std::string::npos);
  EXPECT_NE(error("[3]").find("a list"), std::string::npos);
  EXPECT_NE(error("[[1]]", "1000000000000").find("width 1000000000000 is out of range"),
            std::string::npos);
}

}  // namespace
}  // namespace taskneuron

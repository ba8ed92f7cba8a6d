#include "taskneuron/base/clustering.h"

#include "base/file.h"
#include "base/json.h"
#include "support/support.h"

namespace taskneuron {
namespace {

// Made by SciPy: tests/goldens/make_overlap.py.
TEST(Clustering, AgreesWithSciPy) {
  const Json golden =
      Json::parse(read_file(test::fixtures() / "statistics" / "overlap.json"))["trees"];
  EXPECT_EQ(golden.size(), 40);
  for (const Json& row : golden) {
    const std::vector<Merge> merges = average_linkage(row["distances"], row["items"]);
    ASSERT_EQ(merges.size(), row["merges"].size());
    for (std::size_t k = 0; k < merges.size(); ++k) {
      const Json& expected = row["merges"][k];
      EXPECT_EQ(merges[k].left, expected[0]);
      EXPECT_EQ(merges[k].right, expected[1]);
      EXPECT_NEAR(merges[k].height, expected[2], 1e-12);
      EXPECT_EQ(merges[k].items, expected[3]);
    }
  }
}

TEST(Clustering, TreesByHand) {
  // a and c are near; b is as far from either.
  const std::vector<Merge> merges = average_linkage({0.8, 0.2, 0.6}, 3);
  EXPECT_EQ(newick(merges, {"a", "b c", "c's"}), "('b c':0.35,(a:0.1,'c''s':0.1):0.25);");
  EXPECT_EQ(tree_lines(merges, {"a", "b", "c"}),
            (std::vector<std::string>{"0.7000", "├─ b", "└─ 0.2000", "   ├─ a", "   └─ c"}));
}

TEST(Clustering, OfTiesTheFirstGoFirst) {
  const std::vector<Merge> merges = average_linkage(std::vector<double>(6, 1.0), 4);
  EXPECT_EQ(newick(merges, {"a", "b", "c", "d"}), "((a:0.5,b:0.5):0,(c:0.5,d:0.5):0);");
  EXPECT_EQ(newick(average_linkage({}, 1), {"alone"}), "alone;");
}

}  // namespace
}  // namespace taskneuron

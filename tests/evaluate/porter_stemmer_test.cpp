#include "evaluate/porter_stemmer.h"

#include "base/file.h"
#include "base/json.h"
#include "support/support.h"
#include "taskneuron/evaluate/text_metrics.h"

namespace taskneuron {
namespace {

// Made by NLTK and rouge_score: tests/goldens/make_stems.py.
const Json& golden() {
  static const Json json = Json::parse(read_file(test::fixtures() / "rouge" / "stems.json"));
  return json;
}

TEST(PorterStemmer, AgreesWithNltk) {
  ASSERT_GT(golden()["stems"].size(), 400);
  for (const auto& [word, stem] : golden()["stems"].items()) {
    EXPECT_EQ(porter_stem(word), stem.get<std::string>()) << word;
  }
}

TEST(PorterStemmer, LeavesOutWhatSnowballDoesOtherwise) {
  EXPECT_EQ(porter_stem("skies"), "sky");
  EXPECT_EQ(porter_stem("enjoy"), "enjoy");
  EXPECT_EQ(porter_stem("dies"), "die");
  EXPECT_EQ(porter_stem("by"), "by");
  EXPECT_EQ(porter_stem(""), "");
}

TEST(RougeL, AgreesWithThePackageRougeScore) {
  for (const auto& row : golden()["sentences"]) {
    const std::string prediction = row["prediction"], reference = row["reference"];
    EXPECT_NEAR(rouge_l(prediction, reference, Stemming::kNone), row["rougeL"], 1e-12) << row;
    EXPECT_NEAR(rouge_l(prediction, reference, Stemming::kPorter), row["rougeL-stem"], 1e-12)
        << row;
  }
}

}  // namespace
}  // namespace taskneuron

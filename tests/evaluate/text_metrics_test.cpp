#include "taskneuron/evaluate/text_metrics.h"

#include <map>
#include <sstream>

#include "support/support.h"
#include "taskneuron/base/random.h"

namespace taskneuron {
namespace {

TEST(RougeL, MatchesLinsWorkedExample) {
  // Lin 2004, section 3.1: R "police killed the gunman" against S1 and S2; S1 3/4, S2 2/4.
  const std::string reference = "police killed the gunman";
  EXPECT_NEAR(rouge_l("police kill the gunman", reference, Stemming::kNone), 0.75, 1e-12);
  EXPECT_NEAR(rouge_l("the gunman kill police", reference, Stemming::kNone), 0.5, 1e-12);
  EXPECT_NEAR(rouge_l("the gunman police killed", reference, Stemming::kNone), 0.5, 1e-12);
  // With stemming "kill" and "killed" are one word.
  EXPECT_NEAR(rouge_l("police kill the gunman", reference, Stemming::kPorter), 1.0, 1e-12);
}

TEST(RougeL, MatchesThePackageRougeScore) {
  // The package's own example: scorer.score('The quick brown fox jumps over the lazy dog',
  // 'The quick brown dog jumps on the log.') gives rougeL precision 0.625, recall 0.5556.
  const double f1 = rouge_l("The quick brown dog jumps on the log.",
                            "The quick brown fox jumps over the lazy dog", Stemming::kPorter);
  EXPECT_NEAR(f1, 2 * 0.625 * (5.0 / 9) / (0.625 + 5.0 / 9), 1e-12);
}

TEST(RougeL, WordsAreRunsOfLettersAndDigits) {
  EXPECT_NEAR(rouge_l("It's 3.5, O.K.?", "it s 3 5 o k", Stemming::kNone), 1.0, 1e-12);
  EXPECT_EQ(rouge_l("naïve", "na ve", Stemming::kNone), 1.0);  // as rouge_score: [a-z0-9] alone
  EXPECT_EQ(rouge_l("", "x", Stemming::kNone), 0);
  EXPECT_EQ(rouge_l("x", std::vector<std::string>{"a", "x y", "x"}, Stemming::kNone), 1.0);
}

// The definition written down without thought for speed.
std::size_t slow_lcs(const std::vector<std::string>& a, std::size_t i,
                     const std::vector<std::string>& b, std::size_t j,
                     std::map<std::pair<std::size_t, std::size_t>, std::size_t>& known) {
  if (i == a.size() || j == b.size()) return 0;
  const auto found = known.find({i, j});
  if (found != known.end()) return found->second;
  const std::size_t best =
      a[i] == b[j] ? 1 + slow_lcs(a, i + 1, b, j + 1, known)
                   : std::max(slow_lcs(a, i + 1, b, j, known), slow_lcs(a, i, b, j + 1, known));
  return known[{i, j}] = best;
}

TEST(RougeL, AgreesWithAStraightImplementation) {
  Random random(11, "rouge");
  const auto sentence = [&] {
    std::vector<std::string> words;
    for (std::uint64_t i = 0; i < 1 + random.below(14); ++i) {
      words.push_back(std::string(1, static_cast<char>('a' + random.below(5))));
    }
    return words;
  };
  const auto joined = [](const std::vector<std::string>& words) {
    std::string text;
    for (const std::string& word : words) text += word + " ";
    return text;
  };
  for (int round = 0; round < 500; ++round) {
    const auto a = sentence(), b = sentence();
    std::map<std::pair<std::size_t, std::size_t>, std::size_t> known;
    const auto common = static_cast<double>(slow_lcs(a, 0, b, 0, known));
    const double precision = common / static_cast<double>(a.size());
    const double recall = common / static_cast<double>(b.size());
    const double expected = common == 0 ? 0 : 2 * precision * recall / (precision + recall);
    EXPECT_NEAR(rouge_l(joined(a), joined(b), Stemming::kNone), expected, 1e-12);
  }
}

TEST(ExactMatch, IgnoresCasePunctuationAndSpaces) {
  EXPECT_TRUE(exact_match("  The  Answer, is:\nYes! ", "the answer is yes"));
  EXPECT_TRUE(exact_match("ÉCOLE", "école."));
  EXPECT_FALSE(exact_match("yes", "no"));
  EXPECT_EQ(normalized_answer("«A»  b"), "a b");
}

}  // namespace
}  // namespace taskneuron

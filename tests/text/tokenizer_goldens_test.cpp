// Every golden line: ids, ids with special tokens, decoded text, as the library `tokenizers` gives.
#include <fstream>

#include "base/json.h"
#include "support/support.h"
#include "taskneuron/text/tokenizer.h"

namespace taskneuron {
namespace {

std::string shown(const std::vector<std::int64_t>& ids) {
  std::string text;
  for (const std::int64_t id : ids) text += std::to_string(id) + " ";
  return text;
}

void check_goldens(const std::filesystem::path& folder, const std::filesystem::path& golden) {
  const Tokenizer tokenizer(folder);
  std::ifstream lines(golden);
  ASSERT_TRUE(lines) << golden;
  int count = 0, wrong = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    const Json row = parse_json(line, golden.string() + ":" + std::to_string(count + 1));
    const auto text = row.at("text").get<std::string>();
    const auto ids = row.at("ids").get<std::vector<std::int64_t>>();
    const auto special = row.at("ids_special").get<std::vector<std::int64_t>>();
    const auto found = tokenizer.encode(text, SpecialTokens::kLeaveOut);
    const auto found_special = tokenizer.encode(text, SpecialTokens::kAdd);
    const auto decoded = tokenizer.decode(special);
    const bool right =
        found == ids && found_special == special && decoded == row.at("decoded").get<std::string>();
    if (right || ++wrong > 5) continue;
    ADD_FAILURE() << golden << ":" << count + 1 << " " << Json(text) << "\n  expected "
                  << shown(ids) << "\n  found    " << shown(found) << "\n  special  "
                  << shown(special) << "\n  found    " << shown(found_special) << "\n  decoded  "
                  << row.at("decoded") << "\n  found    " << Json(decoded);
  }
  EXPECT_EQ(wrong, 0) << "of " << count << " lines";
  EXPECT_GT(count, 200);
}

TEST(TokenizerGoldens, Mini) {
  check_goldens(test::examples() / "models" / "mini", test::fixtures() / "tokenizers/mini.jsonl");
}

TEST(TokenizerGoldens, EveryTokenizer) {
  if (test::shared().empty()) GTEST_SKIP() << "../shared is not there: 17 tokenizers not checked";
  for (const auto& entry : std::filesystem::directory_iterator(test::shared() / "tokenizers")) {
    if (!entry.is_directory()) continue;
    SCOPED_TRACE(entry.path().filename().string());
    check_goldens(entry.path(), entry.path() / "golden.jsonl");
  }
}

}  // namespace
}  // namespace taskneuron

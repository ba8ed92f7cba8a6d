// What a tokenizer file must not do, and templates for chats.
#include "taskneuron/text/tokenizer.h"

#include "base/file.h"
#include "base/json.h"
#include "support/support.h"
#include "taskneuron/text/prompt_template.h"

namespace taskneuron {
namespace {

using test::error_of;

// A small valid tokenizer.json, as JSON to change.
Json small_tokenizer() {
  return parse_json(R"({"added_tokens": [{"id": 5, "content": "<s>", "special": true}],
    "pre_tokenizer": {"type": "Whitespace"},
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2, "abb": 3, "c": 4},
              "merges": ["a b", ["ab", "b"]]}})",
                    "small");
}

std::string problem_of(const Json& json) {
  const test::TemporaryFolder folder;
  write_file(folder / "tokenizer.json", json.dump());
  return error_of([&] { Tokenizer{folder.path()}; });
}

TEST(Tokenizer, MergesStringsAndPairs) {
  const test::TemporaryFolder folder;
  write_file(folder / "tokenizer.json", small_tokenizer().dump());
  const Tokenizer tokenizer(folder.path());
  EXPECT_EQ(tokenizer.encode("abb cab<s>", SpecialTokens::kAdd),
            (std::vector<std::int64_t>{3, 4, 2, 5}));
  EXPECT_EQ(tokenizer.decode({3, 5, 4, 77}), "abb c");
  EXPECT_NE(
      error_of([&] { tokenizer.encode("\xff", SpecialTokens::kAdd); }).find("not valid UTF-8"),
      std::string::npos);
}

TEST(Tokenizer, RefusesBrokenFiles) {
  const auto expect = [](const Json& json, const char* part) {
    const std::string message = problem_of(json);
    EXPECT_NE(message.find(part), std::string::npos) << message;
  };
  Json json = small_tokenizer();
  json["model"]["merges"].push_back("c c");
  expect(json, "merge 2 needs token 'cc', which the vocabulary lacks");
  json = small_tokenizer();
  json["model"]["merges"] = {"ab"};
  expect(json, "merge 'ab' must be two tokens");
  json = small_tokenizer();
  json["model"].erase("merges");
  expect(json, "key 'merges' is missing");
  json = small_tokenizer();
  json["model"]["vocab"]["d"] = 2;
  expect(json, "id 2 belongs to");
  json = small_tokenizer();
  json["model"]["vocab"]["d"] = -1;
  expect(json, "id -1 is out of range");
  json = small_tokenizer();
  json["model"]["vocab"]["d"] = 1LL << 40;
  expect(json, "is out of range");
  json = small_tokenizer();
  json["model"]["type"] = "Unigram";
  expect(json, "tokenizer model 'Unigram' is not supported");
  json = small_tokenizer();
  json["normalizer"] = {{"type", "Precompiled"}};
  expect(json, "normalizer 'Precompiled' is not supported");
  json = small_tokenizer();
  json["pre_tokenizer"] = {{"type", "UnicodeScripts"}};
  expect(json, "pre-tokenizer 'UnicodeScripts' is not supported");
  json["pre_tokenizer"] = {
      {"type", "Split"}, {"pattern", {{"Regex", "("}}}, {"behavior", "Isolated"}};
  expect(json, "regular expression '(' is not supported");
  json = small_tokenizer();
  json["decoder"] = {{"type", "CTC"}};
  expect(json, "decoder 'CTC' is not supported");
  json = small_tokenizer();
  json["post_processor"] = {{"type", "Magic"}};
  expect(json, "post-processor 'Magic' is not supported");
  const test::TemporaryFolder empty;
  EXPECT_NE(
      error_of([&] { Tokenizer{empty.path()}; }).find("neither tokenizer.json nor vocab.json"),
      std::string::npos);
}

TEST(ChatTemplate, IsRecognisedByItsMarks) {
  const PromptFields fields{"Do it.", "in", "out"};
  EXPECT_EQ(PromptTemplate::find("chat", "{{'<|im_start|>' + role}}").prompt(fields),
            "<|im_start|>user\nDo it.\nin<|im_end|>\n<|im_start|>assistant\n");
  EXPECT_EQ(PromptTemplate::find("chat", "[INST] <<SYS>>").name(), "chat (Llama-2)");
  EXPECT_EQ(PromptTemplate::find("chat", "[INST]").name(), "chat (Mistral)");
  EXPECT_EQ(PromptTemplate::find("chat", "<start_of_turn>").name(), "chat (Gemma)");
  EXPECT_EQ(PromptTemplate::find("chat", "<|start_header_id|>").name(), "chat (Llama-3)");
  EXPECT_NE(error_of([] { PromptTemplate::find("chat", "### Human:"); }).find("is none of ChatML"),
            std::string::npos);
  EXPECT_NE(error_of([] { PromptTemplate::find("chat"); }).find("carries no chat_template"),
            std::string::npos);
}

}  // namespace
}  // namespace taskneuron

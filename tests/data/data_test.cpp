#include "base/file.h"
#include "support/support.h"
#include "taskneuron/data/batching.h"
#include "taskneuron/data/examples.h"
#include "taskneuron/data/task.h"

namespace taskneuron {
namespace {

using test::error_of;
using test::TemporaryFolder;

// A classification task whose train split is the given lines.
Task task_with(const TemporaryFolder& folder, const std::string& lines) {
  write_file(
      folder / "meta.json",
      R"({"name": "t", "type": "classification", "labels": ["yes", "no"], "instruction": "Say."})");
  write_file(folder / "train.jsonl", lines);
  return load_task(folder.path());
}

TEST(Task, ReadsRows) {
  const TemporaryFolder folder;
  const Task task = task_with(folder,
                              "{\"input\": \"a\", \"output\": \"no\"}\n\n"
                              "{\"instruction\": \"Own.\", \"input\": \"b\", \"output\": "
                              "\"x\", \"labels\": [\"x\", \"y\"]}\n");
  const auto rows = load_split(task, "train");
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].instruction, "Say.");
  EXPECT_EQ(rows[0].references, std::vector<std::string>{"no"});
  EXPECT_EQ(rows[1].instruction, "Own.");
  EXPECT_EQ(rows[1].line, 3);
  EXPECT_EQ(load_split(task, "train", 1).size(), 1u);
}

TEST(Task, ErrorsNameFileAndLine) {
  const auto problem = [](const std::string& lines) {
    const TemporaryFolder folder;
    const Task task = task_with(folder, lines);
    return error_of([&] { load_split(task, "train"); });
  };
  const std::string good = "{\"input\": \"a\", \"output\": \"no\"}\n";
  const auto expect = [](const std::string& message, const char* part) {
    EXPECT_NE(message.find(part), std::string::npos) << message;
  };
  expect(problem(good + "{\"input\": \n"), "train.jsonl:2: not valid JSON");
  expect(problem(good + std::string(5000, '[')), "train.jsonl:2: JSON nested deeper");
  expect(problem(good + "{\"output\": \"no\"}"), "train.jsonl:2: key 'input' is missing");
  expect(problem("{\"input\": 3, \"output\": \"no\"}"),
         "train.jsonl:1: 'input': expected a string");
  expect(problem("{\"input\": \"a\", \"output\": \"maybe\"}"),
         "train.jsonl:1: output 'maybe' is not among the labels: yes, no");
  expect(problem("{\"input\": \"\xc3\x28\", \"output\": \"no\"}"), "train.jsonl:1: not valid JSON");
  expect(problem("{\"input\": \"a\", \"output\": \" \"}"),
         "train.jsonl:1: 'output': the answer is empty");
  expect(problem(""), "holds no rows");
  const TemporaryFolder folder;
  const Task task = task_with(folder, good);
  expect(error_of([&] { load_split(task, "test"); }), "has no split 'test'");
  expect(error_of([&] { load_task(folder / "none"); }), "no such task folder");
  write_file(folder / "meta.json", "{\"type\": \"ranking\"}");
  expect(error_of([&] { load_task(folder.path()); }), "'ranking' is unknown");
}

class Encoding : public ::testing::Test {
 protected:
  Tokenizer tokenizer{test::examples() / "models" / "mini"};
  PromptTemplate prompt = PromptTemplate::find("default");
  TaskRow row{"Say what it is.",
              "A cat sat on the mat. The dog saw it. It ran off to the hills.",
              "yes",
              {"yes", "no", "maybe so"},
              {"yes"},
              1};
};

TEST_F(Encoding, AnswerIsWhatFollowsThePrompt) {
  const ExampleEncoder encoder(tokenizer, prompt, {512, 0});
  const AnswerExample example = encoder.encode(row, "here");
  EXPECT_FALSE(example.truncated);
  EXPECT_EQ(example.ids.back(), 0);
  const std::vector<std::int64_t> answer(example.ids.end() - example.answer_tokens,
                                         example.ids.end() - 1);
  EXPECT_EQ(tokenizer.decode(answer), " yes");
  const std::vector<std::int64_t> prompt_ids(example.ids.begin(),
                                             example.ids.end() - example.answer_tokens);
  EXPECT_EQ(tokenizer.decode(prompt_ids),
            "Definition: Say what it is.\nInput: " + row.input + "\nOutput:");
}

TEST_F(Encoding, CutsTheInputAlone) {
  for (std::int64_t limit = 24; limit < 40; ++limit) {
    const ExampleEncoder encoder(tokenizer, prompt, {limit, 0});
    const AnswerExample example = encoder.encode(row, "here");
    EXPECT_LE(static_cast<std::int64_t>(example.ids.size()), limit);
    const std::string text = tokenizer.decode(example.ids);
    EXPECT_EQ(text.rfind("Definition: Say what it is.\nInput: A c", 0), 0u) << text;
    EXPECT_NE(text.find("\nOutput: yes"), std::string::npos) << text;
    const RankedExample ranked = encoder.encode_labels(row, "here");
    for (const auto& label : ranked.labels) {
      EXPECT_LE(static_cast<std::int64_t>(ranked.trunk.size() + label.ids.size()) + 1, limit);
    }
  }
  const ExampleEncoder tiny(tokenizer, prompt, {8, 0});
  EXPECT_NE(
      error_of([&] { tiny.encode(row, "f:3"); }).find("f:3: instruction and answer alone need"),
      std::string::npos);
}

TEST_F(Encoding, CutsBetweenCharacters) {
  row.input.clear();
  for (int i = 0; i < 100; ++i) row.input += "naïve Ω ";
  for (std::int64_t limit = 25; limit < 45; ++limit) {
    const AnswerExample example = ExampleEncoder(tokenizer, prompt, {limit, 0}).encode(row, "here");
    EXPECT_TRUE(example.truncated);
    EXPECT_EQ(tokenizer.decode(example.ids).find("\uFFFD"), std::string::npos);
  }
}

TEST_F(Encoding, RefusesALabelOfNoTokens) {
  const PromptTemplate bare("bare", "{input}\n", "{output}");
  row.labels = {"yes", ""};
  EXPECT_EQ(error_of([&] {
              ExampleEncoder(tokenizer, bare, {512, 0}).encode_labels(row, "f:2");
            }),
            "f:2: label '' tokenizes to nothing, so it cannot be ranked");
}

TEST(Template, ARowWithoutInstructionLeavesNoEmptyPlace) {
  const PromptFields bare{"", "It rains.", "yes"};
  const auto prompt = [&](const char* name, const char* chat = "") {
    return PromptTemplate::find(name, chat).prompt(bare);
  };
  EXPECT_EQ(prompt("default"), "Input: It rains.\nOutput:");
  EXPECT_EQ(prompt("olora"), "It rains.\nAnswer:");
  EXPECT_NE(prompt("alpaca").find("completes the request.\n\n### Instruction:\nIt rains.\n\n### R"),
            std::string::npos);
  EXPECT_EQ(prompt("chat", "<|im_start|>"),
            "<|im_start|>user\nIt rains.<|im_end|>\n<|im_start|>assistant\n");
  EXPECT_EQ(prompt("chat", "[INST]"), "[INST] It rains. [/INST]");
  // With an instruction, texts and hash are those that results so far were made with.
  const PromptTemplate known = PromptTemplate::find("default");
  EXPECT_EQ(known.prompt({"Say.", "It rains.", ""}), "Definition: Say.\nInput: It rains.\nOutput:");
  EXPECT_EQ(known.hash(),
            PromptTemplate("x", "Definition: {instruction}\nInput: {input}\nOutput:", " {output}")
                .hash());
}

TEST(Template, AFileMayHaveAPromptWithoutInstruction) {
  const test::TemporaryFolder folder;
  const auto find = [&](const std::string& more) {
    write_file(folder / "t.json",
               "{\"prompt\": \"{instruction}: {input}\", \"answer\": \"{output}\"" + more + "}");
    return PromptTemplate::find((folder / "t.json").string());
  };
  EXPECT_EQ(find("").prompt({"", "in", ""}), ": in");
  const std::string bare = ", \"prompt_without_instruction\": \"{input}\"";
  EXPECT_EQ(find(bare).prompt({"", "in", ""}), "in");
  EXPECT_EQ(find(bare).prompt({"do", "in", ""}), "do: in");
  EXPECT_NE(find(bare).hash(), find("").hash());
  EXPECT_NE(error_of([&] {
              find(", \"prompt_without_instruction\": \"{instruction}\"");
            }).find("t.json: the prompt without instruction holds {instruction}"),
            std::string::npos);
}

TEST(Template, RefusesWhatItDoesNotKnow) {
  const auto expect = [](const std::string& prompt_text, const std::string& answer,
                         const char* part) {
    const std::string message =
        error_of([&] { PromptTemplate("x", prompt_text, answer, "f.json"); });
    EXPECT_NE(message.find(part), std::string::npos) << message;
  };
  expect("{question}", "{output}", "f.json: unknown field '{question}'");
  expect("{output}", "{output}", "the prompt must not hold");
  expect("{input}", "x", "the answer must hold");
  expect("{input", "{output}", "a '{' without '}'");
  EXPECT_EQ(PromptTemplate("x", "{{{input}}}", "{output}").prompt({"", "in", ""}), "{in}");
}

TEST(Batching, GroupsByLengthWithinLimits) {
  const auto by_tokens = group_by_length({5, 1, 3, 9, 2}, {0, 6});
  EXPECT_EQ(by_tokens, (std::vector<std::vector<std::int64_t>>{{1, 4, 2}, {0}, {3}}));
  const auto by_count = group_by_length({5, 1, 3, 9, 2}, {2, 6});
  EXPECT_EQ(by_count, (std::vector<std::vector<std::int64_t>>{{1, 4}, {2, 0}, {3}}));
}

TEST(Batching, SharedPrefixEndsBeforeTheFirstAnswerRow) {
  const AnswerExample a{{1, 2, 3, 4, 9}, 1, false}, b{{1, 2, 3, 7, 7, 9}, 2, false};
  EXPECT_EQ(shared_prefix_tokens({a, b}), 3);
  EXPECT_EQ(shared_prefix_tokens({a, a}), 3);
  EXPECT_EQ(shared_prefix_tokens({a, {{2, 2, 3}, 1, false}}), 0);
}

}  // namespace
}  // namespace taskneuron

#include "taskneuron/model/generation.h"

#include "support/support.h"
#include "taskneuron/checkpoint/checkpoint.h"
#include "taskneuron/data/examples.h"

namespace taskneuron {
namespace {

using Ids = std::vector<std::int64_t>;

// Greedy decoding that runs the whole text again for every token.
Ids generate_slowly(const Decoder& decoder, Ids text, std::int64_t tokens, std::int64_t end) {
  const at::NoGradGuard no_gradients;
  NeuronHook none;
  Ids output;
  for (std::int64_t i = 0; i < tokens; ++i) {
    const Batch batch = test::answer_batch({{text, 1}}, true);
    const at::Tensor logits = decoder.logits(decoder.features(batch, none));
    const auto next = logits[-1].argmax().item<std::int64_t>();
    if (next == end) break;
    output.push_back(next);
    text.push_back(next);
  }
  return output;
}

class Generation : public ::testing::TestWithParam<std::string> {};

TEST_P(Generation, WithCacheEqualsWithout) {
  const Decoder decoder(Checkpoint(test::fixtures() / "hf_parity" / GetParam()), {});
  NeuronHook none;
  const std::vector<Ids> different = {{5, 17, 40}, {1, 2, 3, 4, 9, 8, 7}, {60}};
  const std::vector<Ids> alike = {{5, 17, 40, 2}, {5, 17, 40, 7, 9}, {5, 17, 40}, {5, 17, 40, 2}};
  for (const auto& prompts : {different, alike}) {
    for (const std::int64_t at_once : {0, 1, 6}) {
      const auto outputs = generate(decoder, none, prompts, {12, 96, at_once, nullptr});
      for (std::size_t i = 0; i < prompts.size(); ++i) {
        EXPECT_EQ(outputs[i], generate_slowly(decoder, prompts[i], 12, 96)) << i;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Families, Generation, ::testing::ValuesIn(test::family_fixtures()),
                         [](const auto& family) { return family.param; });

TEST(GenerationOfMini, BatchedEqualsOneByOne) {
  const std::filesystem::path folder = test::examples() / "models/mini";
  const Decoder decoder(Checkpoint(folder), {});
  const Tokenizer tokenizer(folder);
  const PromptTemplate prompt = PromptTemplate::find("default");
  const ExampleEncoder encoder(tokenizer, prompt, {256, 0});
  NeuronHook none;
  std::vector<Ids> prompts;
  for (const TaskRow& row : load_split(load_task(test::examples() / "tasks/e2e"), "test", 24)) {
    prompts.push_back(encoder.encode_prompt(row, 32, "row", nullptr));
  }
  const auto together = generate(decoder, none, prompts, {24, 0, 0, nullptr});
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    EXPECT_EQ(generate(decoder, none, {prompts[i]}, {24, 0, 0, nullptr})[0], together[i]) << i;
  }
}

TEST(GenerationOfMini, StopsWhereItIsTold) {
  const std::filesystem::path folder = test::examples() / "models/mini";
  const Decoder decoder(Checkpoint(folder), {});
  NeuronHook none;
  const auto stop = [](const Ids& ids) { return ids.size() == 3; };
  EXPECT_EQ(generate(decoder, none, {{5, 6, 7}}, {24, 0, 0, stop})[0].size(), 3u);
  EXPECT_EQ(generate(decoder, none, {{5, 6, 7}}, {2, 0, 0, stop})[0].size(), 2u);
}

}  // namespace
}  // namespace taskneuron

// Tokens per second of greedy decoding: 64 prompts side by side against one by one, in one run.
#include <cstdio>

#include "bench/timing.h"
#include "taskneuron/base/compute.h"
#include "taskneuron/data/examples.h"
#include "taskneuron/model/generation.h"

int main(int argc, char** argv) {
  using namespace taskneuron;
  if (argc != 3) return 2;  // MODEL TASK
  set_threads(0);
  const Checkpoint checkpoint(argv[1]);
  const Decoder decoder(checkpoint, {choose_dtype("auto", checkpoint, at::kCPU), at::kCPU});
  const Tokenizer tokenizer(argv[1]);
  const PromptTemplate prompt = PromptTemplate::find("default");
  constexpr std::int64_t kTokens = 32;
  const ExampleEncoder encoder(tokenizer, prompt,
                               {checkpoint.config().max_positions, *tokenizer.end_of_sequence()});
  std::vector<std::vector<std::int64_t>> prompts;
  for (const TaskRow& row : load_split(load_task(argv[2]), "test", 64)) {
    prompts.push_back(encoder.encode_prompt(row, kTokens, argv[2], nullptr));
  }
  NeuronHook none;
  const GenerationOptions options{kTokens, -1, 0,
                                  nullptr};  // always 32 tokens, so that both do the same
  const double together =
      bench::median_seconds(3, [&] { generate(decoder, none, prompts, options); });
  const double alone = bench::median_seconds(3, [&] {
    for (const auto& one : prompts) generate(decoder, none, {one}, options);
  });
  const double tokens = static_cast<double>(prompts.size()) * kTokens;
  std::printf(
      "{\"prompts\": %zu, \"batched_tokens_per_second\": %.0f, \"one_by_one\": %.0f, "
      "\"ratio\": %.2f}\n",
      prompts.size(), tokens / together, tokens / alone, alone / together);
  return 0;
}

// Writes a task's training examples as token ids for the peers: examples MODEL TASK LIMIT.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "taskneuron/checkpoint/checkpoint.h"
#include "taskneuron/data/examples.h"

int main(int argc, char** argv) {
  using namespace taskneuron;
  if (argc != 4) return 2;
  const Checkpoint checkpoint(argv[1]);
  const Tokenizer tokenizer(argv[1]);
  const PromptTemplate prompt = PromptTemplate::find("default");
  const ExampleEncoder encoder(tokenizer, prompt,
                               {checkpoint.config().max_positions, *tokenizer.end_of_sequence()});
  const char* separator = "[";
  for (const TaskRow& row : load_split(load_task(argv[2]), "train", std::atoll(argv[3]))) {
    const AnswerExample example = encoder.encode(row, argv[2]);
    fmt::print("{}{{\"ids\": [{}], \"answer\": {}}}", separator, fmt::join(example.ids, ", "),
               example.answer_tokens);
    separator = ",\n";
  }
  fmt::print("]\n");
  return 0;
}

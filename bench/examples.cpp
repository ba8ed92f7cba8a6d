// Writes a task's training examples as token ids for the peers: examples MODEL TASK LIMIT
// [--labels]. With --labels, every label of an example behind what all of them share.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstring>

#include "bench/token_ids.h"
#include "taskneuron/checkpoint/checkpoint.h"
#include "taskneuron/data/examples.h"

int main(int argc, char** argv) {
  using namespace taskneuron;
  using bench::as_json;
  const bool labels = argc == 5 && std::strcmp(argv[4], "--labels") == 0;
  if (argc != 4 && !labels) return 2;
  const Checkpoint checkpoint(argv[1]);
  const Tokenizer tokenizer(argv[1]);
  const PromptTemplate prompt = PromptTemplate::find("default");
  const ExampleEncoder encoder(tokenizer, prompt,
                               {checkpoint.config().max_positions, *tokenizer.end_of_sequence()});
  std::vector<std::string> lines;
  for (const TaskRow& row : load_split(load_task(argv[2]), "train", std::atoll(argv[3]))) {
    lines.push_back(labels ? as_json(encoder.encode_labels(row, argv[2]))
                           : as_json(encoder.encode(row, argv[2])));
  }
  fmt::print("[{}]\n", fmt::join(lines, ",\n"));
  return 0;
}

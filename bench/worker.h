#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <iostream>
#include <string>
#include <vector>

#include "taskneuron/base/compute.h"
#include "taskneuron/base/tensor_pool.h"
#include "taskneuron/data/batch_memory.h"
#include "taskneuron/data/examples.h"
#include "taskneuron/model/decoder.h"

namespace taskneuron::bench {

// A task's training examples and the model that runs them, loaded once as the program loads them.
struct Workload {
  Workload(const std::string& model, const std::string& task, const std::string& dtype,
           std::int64_t limit)
      : checkpoint(model),
        decoder(checkpoint, {choose_dtype(dtype, checkpoint, at::kCPU), at::kCPU}) {
    const Tokenizer tokenizer(model);
    const PromptTemplate prompt = PromptTemplate::find("default");
    const ExampleEncoder encoder(tokenizer, prompt,
                                 {checkpoint.config().max_positions, *tokenizer.end_of_sequence()});
    for (const TaskRow& row : load_split(load_task(task), "train", limit)) {
      examples.push_back(encoder.encode(row, task));
      tokens += static_cast<std::int64_t>(examples.back().ids.size());
    }
  }

  Checkpoint checkpoint;
  Decoder decoder;
  std::vector<AnswerExample> examples;
  std::int64_t tokens = 0;
};

// The batches of a run over all of it, as the program plans them.
inline BatchLimits planned(const Workload& work, const BatchDemand& demand,
                           std::int64_t batch_tokens) {
  return fit_batches(work.checkpoint, work.decoder.options(), demand, {0, batch_tokens},
                     default_memory_budget(work.checkpoint))
      .limits;
}

// As the program starts.
inline void start() {
  set_threads(0);
  use_tensor_pool();
}

// Prints that it is ready, then reads one command a line. `run [VARIANT]` does one timed pass and
// prints its seconds and what `pass` returns (", " and members of a JSON object, or nothing); `save
// PATH` writes what the last pass found. Between commands the process waits and takes no processor.
inline void serve(std::int64_t tokens, const std::function<std::string(const std::string&)>& pass,
                  const std::function<void(const std::string&)>& save) {
  fmt::print("{{\"ready\": true}}\n");
  std::fflush(stdout);
  for (std::string line; std::getline(std::cin, line);) {
    if (line.rfind("save ", 0) == 0) {
      save(line.substr(5));
      fmt::print("{{\"saved\": true}}\n");
    } else {
      const auto start = std::chrono::steady_clock::now();
      const std::string more = pass(line.substr(std::min(line.size(), sizeof("run"))));
      const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
      fmt::print("{{\"tokens\": {}, \"seconds\": {}{}}}\n", tokens, seconds.count(), more);
    }
    std::fflush(stdout);
  }
}

}  // namespace taskneuron::bench

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "taskneuron/evaluate/loss_interval.h"
#include "taskneuron/recipe/outputs.h"
#include "taskneuron/recipe/session.h"

namespace taskneuron {

// Relevance of every unit for each task, as a score file each (method, "Relevance").
struct DetectOptions {
  DataOptions data;
  OutputOptions output;
  std::vector<std::string> sites = {"act"};
  std::string method = "taylor";
  std::string aggregate;
  std::string positions = "all";
  std::int64_t steps = 16;
  std::uint64_t seed = 0;
  DetectOptions() { data.split = "train"; }
  void declare(OptionList& list);
  // Throws what is known to be wrong before a model is opened.
  void check() const;
};

struct DetectedTask {
  std::string task;
  std::string split;
  std::int64_t examples = 0;
  std::int64_t truncated = 0;  // whose input was cut
  std::int64_t tokens = 0;
  double seconds = 0;
  LossInterval loss;
  BatchMemory plan;
  std::int64_t peak_memory_bytes = 0;
  std::string out;
};

std::vector<DetectedTask> detect(const Session& session, const DetectOptions& options);

}  // namespace taskneuron

#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "taskneuron/checkpoint/checkpoint.h"
#include "taskneuron/model/trainable.h"

namespace taskneuron {

// What training changed of a model: the trained rows and columns alone, with their exact values
// (format: docs/formats/delta.md). It means something on its base model only.
struct Delta {
  std::string base_hash;
  std::map<std::string, TrainedTensor> tensors;
  std::map<std::string, std::string> from;  // how it was made

  std::int64_t values() const;  // numbers in all tensors together
};

// Values are stored as float32 where the base is or where training ran in it, else as bfloat16.
Delta make_delta(const Checkpoint& base, const TrainableModel& model);
// Throws Error, writing nothing, for values that are not finite.
void save_delta(const Delta& delta, const std::filesystem::path& path);

// Throws Error naming file and tensor for a file that is no delta, was made for other weights, or
// does not fit the base: tensors that it lacks, units out of range, wrong shapes.
Delta load_delta(const std::filesystem::path& path, const Checkpoint& base);

struct ScaledDelta {
  Delta delta;
  double scale = 1;
};

// "PATH" or "PATH:SCALE". Throws UsageError for a scale that is no number.
struct DeltaArgument {
  std::string path;
  double scale = 1;
};
DeltaArgument parse_delta_argument(const std::string& text);

// The base with W0 + Σ scale · (W − W0) in place of what the deltas touch. A unit that one delta
// alone touches, with scale 1, gets its very values. Sums are float32.
std::map<std::string, at::Tensor> apply_deltas(const Checkpoint& base,
                                               const std::vector<ScaledDelta>& deltas);

}  // namespace taskneuron

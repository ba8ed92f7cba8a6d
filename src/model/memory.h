#pragma once

#include <cstdint>
#include <vector>

#include "taskneuron/checkpoint/checkpoint.h"
#include "taskneuron/model/decoder.h"

namespace taskneuron {

// What of a pass over a batch is in memory at its worst moment.
enum class Pass {
  kForward,     // one layer at a time
  kBackward,    // what every layer keeps until its backward pass
  kRecomputed,  // every layer's input; a layer runs again when its backward pass comes
};

struct PassShape {
  std::int64_t rows = 0;        // tokens
  std::int64_t logit_rows = 0;  // of them, those with logits
  std::int64_t examples = 0;
  std::int64_t longest = 0;  // tokens that one of them sees at most
  bool trains_weights = false;
};

// Bytes beyond the mapped weights and the program itself, worked out from the tensors that each
// step holds (docs/performance.md compares with what is measured).
class MemoryModel {
 public:
  MemoryModel(const Checkpoint& checkpoint, const DecoderOptions& options);

  std::int64_t converted_weights() const { return converted_; }  // made when a model is loaded
  std::int64_t packed_weights() const { return packed_; }        // made when it first runs
  std::int64_t pass(Pass pass, const PassShape& shape) const;
  std::int64_t cache(std::int64_t tokens) const;  // keys and values of so many tokens

 private:
  void plan_layers(const DecoderOptions& options);

  const ModelConfig& config_;
  std::int64_t element_ = 0;
  std::int64_t extra_norms_ = 0;  // inputs that a row keeps for norms that most families lack
  // Of masks: bytes for a query and a key, and for each window the texts longer than which have
  // one.
  std::int64_t mask_ = 0;
  std::vector<std::int64_t> masked_beyond_;
  std::int64_t converted_ = 0;
  std::int64_t packed_ = 0;
  std::int64_t converted_matrix_ = 0;  // the largest, where weights are converted at every use
};

}  // namespace taskneuron

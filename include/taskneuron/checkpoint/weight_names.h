#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "taskneuron/checkpoint/model_config.h"

namespace taskneuron {

// What a family calls its tensors in a Hugging Face checkpoint. Names of modules, without
// ".weight" or ".bias"; empty where the family has no such module. Layer names follow
// "<prefix><layers>.<number>.".
struct WeightNames {
  std::vector<std::string> prefixes;  // in front of everything but the head; the first that fits
  std::string embedding;
  std::string position;
  std::string embedding_norm;
  std::string project_in;
  std::string project_out;
  std::string final_norm;
  std::string head;  // carries no prefix

  std::string layers;
  std::string attention_norm;
  std::string attention_output_norm;
  std::string query_key_value;  // fused; otherwise the three below
  std::string query;
  std::string key;
  std::string value;
  std::string query_norm;  // where every head has one, by its number below this
  std::string key_norm;
  std::string attention_output;
  std::string ffn_norm;
  std::string ffn_output_norm;
  std::string router;   // mixtures of experts only
  std::string experts;  // the same: what the names below stand under, by the expert's number
  std::string gate;     // gated models only
  std::string up;       // W1 of models that are not gated
  std::string gate_up;  // fused; then gate and up are empty
  std::string down;     // W2

  // Tensors, by their whole names, that some checkpoints hold although they follow from
  // config.json: causal masks, the angles of rotations.
  std::vector<std::string> buffers;
  std::vector<std::string> layer_buffers;
};

// REQUIRES a model_type that read_model_config accepts.
const WeightNames& weight_names(const ModelConfig& config);

// Whether a tensor of a checkpoint is known to hold no weights of its own: a buffer, or the head
// where that is the embedding.
bool is_buffer(const ModelConfig& config, const std::string& tensor);

}  // namespace taskneuron

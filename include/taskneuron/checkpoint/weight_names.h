#pragma once

#include <cstdint>
#include <string>
#include <vector>

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
  std::string query_key_value;  // fused; otherwise the three below
  std::string query;
  std::string key;
  std::string value;
  std::string attention_output;
  std::string ffn_norm;
  std::string gate;     // gated models only
  std::string up;       // W1 of models that are not gated
  std::string gate_up;  // fused; then gate and up are empty
  std::string down;     // W2
};

// REQUIRES a model_type that read_model_config accepts.
const WeightNames& weight_names(const std::string& model_type);

}  // namespace taskneuron

#include "taskneuron/checkpoint/weight_names.h"

#include <algorithm>
#include <map>

#include "taskneuron/base/error.h"

namespace taskneuron {

namespace {

const std::vector<std::string> kRotaryBuffers = {"rotary_emb.inv_freq", "rotary_emb.cos_cached",
                                                 "rotary_emb.sin_cached"};

std::vector<std::string> below(const std::string& module, const std::vector<std::string>& names) {
  std::vector<std::string> result;
  for (const std::string& name : names) result.push_back(module + "." + name);
  return result;
}

WeightNames llama_names() {
  WeightNames names;
  names.prefixes = {"model.", ""};
  names.embedding = "embed_tokens";
  names.final_norm = "norm";
  names.head = "lm_head";
  names.layers = "layers";
  names.attention_norm = "input_layernorm";
  names.query = "self_attn.q_proj";
  names.key = "self_attn.k_proj";
  names.value = "self_attn.v_proj";
  names.attention_output = "self_attn.o_proj";
  names.ffn_norm = "post_attention_layernorm";
  names.gate = "mlp.gate_proj";
  names.up = "mlp.up_proj";
  names.down = "mlp.down_proj";
  names.buffers = kRotaryBuffers;
  names.layer_buffers = below("self_attn", kRotaryBuffers);
  return names;
}

WeightNames qwen3_names() {
  WeightNames names = llama_names();
  names.query_norm = "self_attn.q_norm";
  names.key_norm = "self_attn.k_norm";
  return names;
}

WeightNames stablelm_names() {
  WeightNames names = llama_names();
  names.query_norm = "self_attn.q_layernorm.norms";
  names.key_norm = "self_attn.k_layernorm.norms";
  return names;
}

WeightNames qwen3_moe_names() {
  WeightNames names = qwen3_names();
  names.router = "mlp.gate";
  names.experts = "mlp.experts";
  names.gate = "gate_proj";
  names.up = "up_proj";
  names.down = "down_proj";
  return names;
}

WeightNames mixtral_names() {
  WeightNames names = llama_names();
  names.router = "block_sparse_moe.gate";
  names.experts = "block_sparse_moe.experts";
  names.gate = "w1";
  names.up = "w3";
  names.down = "w2";
  return names;
}

WeightNames olmo2_names() {
  WeightNames names = qwen3_names();
  names.attention_norm = names.ffn_norm = "";
  names.attention_output_norm = "post_attention_layernorm";
  names.ffn_output_norm = "post_feedforward_layernorm";
  return names;
}

// Gemma 2, whose blocks have no query and key norms, and Gemma 3.
WeightNames gemma3_names() {
  WeightNames names = olmo2_names();
  names.attention_norm = "input_layernorm";
  names.ffn_norm = "pre_feedforward_layernorm";
  return names;
}

WeightNames phi3_names() {
  WeightNames names = llama_names();
  names.query_key_value = "self_attn.qkv_proj";
  names.query = names.key = names.value = "";
  names.gate_up = "mlp.gate_up_proj";
  names.gate = names.up = "";
  return names;
}

WeightNames phi_names() {
  WeightNames names = llama_names();
  names.query_norm = "self_attn.q_layernorm";
  names.key_norm = "self_attn.k_layernorm";
  names.attention_output = "self_attn.dense";
  names.ffn_norm = "";
  names.gate = "";
  names.up = "mlp.fc1";
  names.down = "mlp.fc2";
  names.final_norm = "final_layernorm";
  return names;
}

WeightNames opt_names() {
  WeightNames names = llama_names();
  names.prefixes = {"model.decoder.", "decoder."};
  names.position = "embed_positions";
  names.project_in = "project_in";
  names.project_out = "project_out";
  names.final_norm = "final_layer_norm";
  names.attention_norm = names.attention_output_norm = "self_attn_layer_norm";
  names.attention_output = "self_attn.out_proj";
  names.ffn_norm = names.ffn_output_norm = "final_layer_norm";
  names.buffers = names.layer_buffers = {};
  names.gate = "";
  names.up = "fc1";
  names.down = "fc2";
  return names;
}

WeightNames gpt2_names() {
  WeightNames names;
  names.prefixes = {"transformer.", ""};
  names.embedding = "wte";
  names.position = "wpe";
  names.final_norm = "ln_f";
  names.head = "lm_head";
  names.layers = "h";
  names.attention_norm = "ln_1";
  names.query_key_value = "attn.c_attn";
  names.attention_output = "attn.c_proj";
  names.ffn_norm = "ln_2";
  names.up = "mlp.c_fc";
  names.down = "mlp.c_proj";
  names.layer_buffers = {"attn.bias", "attn.masked_bias"};
  return names;
}

WeightNames gptj_names() {
  WeightNames names = gpt2_names();
  names.query_key_value = "";
  names.query = "attn.q_proj";
  names.key = "attn.k_proj";
  names.value = "attn.v_proj";
  names.attention_output = "attn.out_proj";
  names.ffn_norm = "";
  names.up = "mlp.fc_in";
  names.down = "mlp.fc_out";
  names.position = "";
  return names;
}

WeightNames gpt_neo_names() {
  WeightNames names = gpt2_names();
  names.query_key_value = "";
  names.query = "attn.attention.q_proj";
  names.key = "attn.attention.k_proj";
  names.value = "attn.attention.v_proj";
  names.attention_output = "attn.attention.out_proj";
  names.layer_buffers = {"attn.attention.bias", "attn.attention.masked_bias"};
  return names;
}

WeightNames bloom_names() {
  WeightNames names;
  names.prefixes = {"transformer.", ""};
  names.embedding = "word_embeddings";
  names.embedding_norm = "word_embeddings_layernorm";
  names.final_norm = "ln_f";
  names.head = "lm_head";
  names.layers = "h";
  names.attention_norm = "input_layernorm";
  names.query_key_value = "self_attention.query_key_value";
  names.attention_output = "self_attention.dense";
  names.ffn_norm = "post_attention_layernorm";
  names.up = "mlp.dense_h_to_4h";
  names.down = "mlp.dense_4h_to_h";
  return names;
}

WeightNames falcon_names() {
  WeightNames names = bloom_names();
  names.embedding_norm = "";
  names.layer_buffers = below("self_attention", kRotaryBuffers);
  return names;
}

// Of the models whose parallel parts have a norm each.
WeightNames falcon_two_norms_names() {
  WeightNames names = falcon_names();
  names.attention_norm = "ln_attn";
  names.ffn_norm = "ln_mlp";
  return names;
}

WeightNames gpt_neox_names() {
  WeightNames names = bloom_names();
  names.prefixes = {"gpt_neox."};
  names.embedding = "embed_in";
  names.embedding_norm = "";
  names.final_norm = "final_layer_norm";
  names.head = "embed_out";
  names.layers = "layers";
  names.query_key_value = "attention.query_key_value";
  names.attention_output = "attention.dense";
  names.buffers = kRotaryBuffers;
  std::vector<std::string> in_attention = kRotaryBuffers;
  in_attention.insert(in_attention.end(), {"bias", "masked_bias"});
  names.layer_buffers = below("attention", in_attention);
  return names;
}

}  // namespace

const WeightNames& weight_names(const ModelConfig& config) {
  static const std::map<std::string, WeightNames> table = {
      {"gpt2", gpt2_names()},         {"gpt_neo", gpt_neo_names()},
      {"gptj", gptj_names()},         {"gpt_neox", gpt_neox_names()},
      {"llama", llama_names()},       {"mistral", llama_names()},
      {"granite", llama_names()},     {"smollm3", llama_names()},
      {"stablelm", stablelm_names()}, {"qwen2", llama_names()},
      {"gemma", llama_names()},       {"bloom", bloom_names()},
      {"falcon", falcon_names()},     {"opt", opt_names()},
      {"phi", phi_names()},           {"phi3", phi3_names()},
      {"qwen3", qwen3_names()},       {"olmo2", olmo2_names()},
      {"gemma2", gemma3_names()},     {"gemma3_text", gemma3_names()},
      {"mixtral", mixtral_names()},   {"qwen3_moe", qwen3_moe_names()},
      {"olmoe", qwen3_moe_names()},
  };
  static const WeightNames falcon_two_norms = falcon_two_norms_names();
  if (config.model_type == "falcon" && config.layer(0).block == BlockKind::kParallel &&
      config.layer(0).ffn_norm) {
    return falcon_two_norms;
  }
  const auto found = table.find(config.model_type);
  TN_CHECK(found != table.end());
  return found->second;
}

bool is_buffer(const ModelConfig& config, const std::string& tensor) {
  const WeightNames& names = weight_names(config);
  if (config.tied_head && tensor == names.head + ".weight") return true;
  const auto is_one_of = [](const std::vector<std::string>& all, const std::string& name) {
    return std::find(all.begin(), all.end(), name) != all.end();
  };
  for (const std::string& prefix : names.prefixes) {
    if (tensor.rfind(prefix, 0) != 0) continue;
    const std::string name = tensor.substr(prefix.size());
    if (is_one_of(names.buffers, name)) return true;
    if (name.rfind(names.layers + ".", 0) != 0) continue;
    const std::size_t number = names.layers.size() + 1;
    const std::size_t end = name.find_first_not_of("0123456789", number);
    if (end == std::string::npos || end == number || name[end] != '.') continue;
    if (is_one_of(names.layer_buffers, name.substr(end + 1))) return true;
  }
  return false;
}

}  // namespace taskneuron

#include "checkpoint/gguf_architecture.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "taskneuron/checkpoint/gguf_model.h"

namespace taskneuron {

namespace {

std::vector<GgufTensorName> llama_layer(GgufChange query, GgufChange key) {
  return {{"attn_norm", "input_layernorm"},    {"attn_q", "self_attn.q_proj", query},
          {"attn_k", "self_attn.k_proj", key}, {"attn_v", "self_attn.v_proj"},
          {"attn_output", "self_attn.o_proj"}, {"attn_q_norm", "self_attn.q_norm"},
          {"attn_k_norm", "self_attn.k_norm"}, {"ffn_norm", "post_attention_layernorm"},
          {"ffn_gate", "mlp.gate_proj"},       {"ffn_up", "mlp.up_proj"},
          {"ffn_down", "mlp.down_proj"}};
}

const std::vector<GgufTensorName> kLlamaWhole = {
    {"token_embd", "model.embed_tokens"}, {"output_norm", "model.norm"}, {"output", "lm_head"}};
const std::vector<GgufTensorName> kGemmaWhole = {
    {"token_embd", "model.embed_tokens"},
    {"output_norm", "model.norm", GgufChange::kMinusOne},
    {"output", "lm_head"}};

std::vector<GgufTensorName> gemma_layer() {
  return {{"attn_norm", "input_layernorm", GgufChange::kMinusOne},
          {"attn_q", "self_attn.q_proj"},
          {"attn_k", "self_attn.k_proj"},
          {"attn_v", "self_attn.v_proj"},
          {"attn_output", "self_attn.o_proj"},
          {"attn_q_norm", "self_attn.q_norm", GgufChange::kMinusOne},
          {"attn_k_norm", "self_attn.k_norm", GgufChange::kMinusOne},
          {"post_attention_norm", "post_attention_layernorm", GgufChange::kMinusOne},
          {"ffn_norm", "pre_feedforward_layernorm", GgufChange::kMinusOne},
          {"post_ffw_norm", "post_feedforward_layernorm", GgufChange::kMinusOne},
          {"ffn_gate", "mlp.gate_proj"},
          {"ffn_up", "mlp.up_proj"},
          {"ffn_down", "mlp.down_proj"}};
}

// In place of a dense FFN, whose names come last.
std::vector<GgufTensorName> mixture_layer(std::vector<GgufTensorName> layer,
                                          const std::array<const char*, 4>& router_gate_up_down) {
  layer.resize(layer.size() - 3);
  const auto& [router, gate, up, down] = router_gate_up_down;
  layer.push_back({"ffn_gate_inp", router});
  layer.push_back({"ffn_gate_exps", gate, GgufChange::kExperts});
  layer.push_back({"ffn_up_exps", up, GgufChange::kExperts});
  layer.push_back({"ffn_down_exps", down, GgufChange::kExperts});
  return layer;
}

constexpr std::array kMixtralNames = {"block_sparse_moe.gate", "block_sparse_moe.experts.{}.w1",
                                      "block_sparse_moe.experts.{}.w3",
                                      "block_sparse_moe.experts.{}.w2"};
constexpr std::array kExpertNames = {"mlp.gate", "mlp.experts.{}.gate_proj",
                                     "mlp.experts.{}.up_proj", "mlp.experts.{}.down_proj"};

std::vector<GgufTensorName> phi3_layer() {
  return {{"attn_norm", "input_layernorm"},    {"attn_qkv", "self_attn.qkv_proj"},
          {"attn_output", "self_attn.o_proj"}, {"ffn_norm", "post_attention_layernorm"},
          {"ffn_up", "mlp.gate_up_proj"},      {"ffn_down", "mlp.down_proj"}};
}

std::vector<GgufTensorName> gpt2_layer() {
  return {{"attn_norm", "ln_1"},
          {"attn_qkv", "attn.c_attn", GgufChange::kTranspose},
          {"attn_output", "attn.c_proj", GgufChange::kTranspose},
          {"ffn_norm", "ln_2"},
          {"ffn_up", "mlp.c_fc", GgufChange::kTranspose},
          {"ffn_down", "mlp.c_proj", GgufChange::kTranspose}};
}

}  // namespace

const std::vector<GgufArchitecture>& known_gguf_architectures() {
  const auto plain = [] { return llama_layer(GgufChange::kNone, GgufChange::kNone); };
  const auto turned = [] { return llama_layer(GgufChange::kQueryHalves, GgufChange::kKeyHalves); };
  static const std::vector<GgufArchitecture> all = {
      {"llama", "llama", "LlamaForCausalLM", "model.layers.", kLlamaWhole, turned()},
      {"llama", "mixtral", "MixtralForCausalLM", "model.layers.", kLlamaWhole,
       mixture_layer(turned(), kMixtralNames), true},
      {"qwen2", "qwen2", "Qwen2ForCausalLM", "model.layers.", kLlamaWhole, plain()},
      {"qwen3", "qwen3", "Qwen3ForCausalLM", "model.layers.", kLlamaWhole, plain()},
      {"gemma2", "gemma2", "Gemma2ForCausalLM", "model.layers.", kGemmaWhole, gemma_layer()},
      {"gemma3", "gemma3_text", "Gemma3ForCausalLM", "model.layers.", kGemmaWhole, gemma_layer()},
      {"phi3", "phi3", "Phi3ForCausalLM", "model.layers.", kLlamaWhole, phi3_layer()},
      {"gpt2",
       "gpt2",
       "GPT2LMHeadModel",
       "transformer.h.",
       {{"token_embd", "transformer.wte"},
        {"position_embd", "transformer.wpe"},
        {"output_norm", "transformer.ln_f"},
        {"output", "lm_head"}},
       gpt2_layer()},
      {"qwen3moe", "qwen3_moe", "Qwen3MoeForCausalLM", "model.layers.", kLlamaWhole,
       mixture_layer(plain(), kExpertNames), true},
      {"olmoe", "olmoe", "OlmoeForCausalLM", "model.layers.", kLlamaWhole,
       mixture_layer(plain(), kExpertNames), true},
  };
  return all;
}

const GgufArchitecture& gguf_architecture_of(const GgufFile& file) {
  const std::string name = file.metadata().string("general.architecture");
  const std::string experts_key = name + ".expert_count";
  const bool mixture = file.metadata().integer_or(experts_key, 0) > 0;
  bool known = false;
  for (const GgufArchitecture& one : known_gguf_architectures()) {
    if (name != one.name) continue;
    if (mixture == one.mixture) return one;
    known = true;
  }
  if (known) {
    file.metadata().fail(
        mixture ? experts_key : "general.architecture",
        fmt::format("'{}' models are not read with{} experts", name, mixture ? "" : "out"));
  }
  file.metadata().fail("general.architecture", fmt::format("'{}' is not read; read are {}", name,
                                                           fmt::join(gguf_architectures(), ", ")));
}

std::vector<std::string> gguf_architectures() {
  std::vector<std::string> names;
  for (const GgufArchitecture& one : known_gguf_architectures()) {
    if (std::find(names.begin(), names.end(), one.name) == names.end()) names.push_back(one.name);
  }
  return names;
}

}  // namespace taskneuron

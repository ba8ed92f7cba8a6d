#include <fmt/format.h>

#include <cmath>
#include <optional>

#include "base/json.h"
#include "base/torch_compat.h"
#include "checkpoint/gguf_architecture.h"
#include "taskneuron/base/compute.h"
#include "taskneuron/base/error.h"
#include "taskneuron/checkpoint/gguf_model.h"

namespace taskneuron {

namespace {

// The factors of a rotation's frequencies, which some files hold as a tensor.
std::optional<std::vector<double>> factors(const GgufFile& file, const std::string& name) {
  if (!file.contains(name)) return std::nullopt;
  const at::Tensor values = file.tensor(name).to(at::kDouble).flatten();
  return std::vector<double>(values.data_ptr<double>(), values.data_ptr<double>() + values.numel());
}

OutputJson longrope(const std::vector<double>& brief, const std::vector<double>& lengthy,
                    std::int64_t original, double attention_factor) {
  return {{"rope_type", "longrope"},
          {"short_factor", brief},
          {"long_factor", lengthy},
          {"original_max_position_embeddings", original},
          {"attention_factor", attention_factor}};
}

// rope_scaling; null where rotations are as they are.
OutputJson rope_scaling(const GgufFields& fields, std::int64_t context) {
  const GgufFile& file = fields.file();
  // Llama 3's stretching is in the file as factors.
  if (const auto own = factors(file, "rope_freqs.weight")) return longrope(*own, *own, context, 1);
  const auto brief = factors(file, "rope_factors_short.weight");
  const auto lengthy = factors(file, "rope_factors_long.weight");
  if (brief && lengthy) {
    const std::int64_t original = fields.integer("rope.scaling.original_context_length");
    const double stretch = static_cast<double>(context) / static_cast<double>(original);
    const double usual =
        stretch <= 1 ? 1.0
                     : std::sqrt(1 + std::log(stretch) / std::log(static_cast<double>(original)));
    return longrope(*brief, *lengthy, original,
                    fields.number_or("rope.scaling.attn_factor", usual));
  }
  if (!fields.contains("rope.scaling.type")) return nullptr;
  const std::string kind = fields.metadata().string(fields.key("rope.scaling.type"));
  if (kind == "none") return nullptr;
  if (kind != "linear" && kind != "yarn") {
    fields.metadata().fail(fields.key("rope.scaling.type"),
                           fmt::format("'{}' is not read; read are none, linear and yarn", kind));
  }
  OutputJson scaling = {{"rope_type", kind}, {"factor", fields.number("rope.scaling.factor")}};
  if (kind == "yarn") {
    scaling["original_max_position_embeddings"] =
        fields.integer("rope.scaling.original_context_length");
  }
  return scaling;
}

std::int64_t vocabulary_of(const GgufFile& file) {
  const auto found = file.tensors().find("token_embd.weight");
  if (found == file.tensors().end()) {
    throw Error(fmt::format("{}: tensor 'token_embd.weight' is missing", file.path().string()));
  }
  return found->second.shape.front();
}

void add_special_tokens(OutputJson& config, const GgufMetadata& metadata) {
  for (const auto& [key, name] : {std::pair("bos_token_id", "tokenizer.ggml.bos_token_id"),
                                  std::pair("eos_token_id", "tokenizer.ggml.eos_token_id"),
                                  std::pair("pad_token_id", "tokenizer.ggml.padding_token_id")}) {
    if (metadata.contains(name)) config[key] = metadata.integer(name);
  }
}

OutputJson gpt2_config(const GgufFields& fields) {
  return {{"n_positions", fields.integer("context_length")},
          {"n_embd", fields.integer("embedding_length")},
          {"n_layer", fields.integer("block_count")},
          {"n_head", fields.integer("attention.head_count")},
          {"n_inner", fields.integer("feed_forward_length")},
          {"layer_norm_epsilon", fields.number("attention.layer_norm_epsilon")},
          {"activation_function", "gelu_new"}};
}

void add_gemma(OutputJson& config, const GgufFields& fields, const GgufArchitecture& architecture) {
  const bool third = architecture.name == "gemma3";
  config["hidden_activation"] = "gelu_pytorch_tanh";
  // The largest of both families scale by the hidden size that a head has a share of.
  const std::int64_t layers = config["num_hidden_layers"].get<std::int64_t>();
  const bool largest = layers == (third ? 62 : 46);
  config["query_pre_attn_scalar"] =
      largest ? config["hidden_size"].get<std::int64_t>() / fields.integer("attention.head_count")
              : config["head_dim"].get<std::int64_t>();
  config["sliding_window"] = fields.integer("attention.sliding_window");
  const auto cap = [&](const char* name, double fallback) {
    const double found = fields.number_or(name, fallback);
    return found == 0 ? OutputJson(nullptr) : OutputJson(found);
  };
  config["attn_logit_softcapping"] = cap("attn_logit_softcapping", third ? 0 : 50);
  config["final_logit_softcapping"] = cap("final_logit_softcapping", third ? 0 : 30);
  if (!third) return;
  config["rope_local_base_freq"] = fields.number_or("rope.freq_base_swa", 1e4);
  config["sliding_window_pattern"] = fields.integer_or("attention.sliding_window_pattern", 6);
}

// Whether the probabilities of a token's experts are normalised is not in a file: llama.cpp knows
// it of the architecture.
void add_mixture(OutputJson& config, const GgufFields& fields,
                 const GgufArchitecture& architecture) {
  const bool mixtral = architecture.model_type == "mixtral";
  const bool qwen = architecture.model_type == "qwen3_moe";
  const std::int64_t width = fields.integer_or("expert_feed_forward_length", 0);
  config[mixtral ? "num_local_experts" : "num_experts"] = fields.integer("expert_count");
  config["num_experts_per_tok"] = fields.integer("expert_used_count");
  if (qwen) config["moe_intermediate_size"] = fields.integer("expert_feed_forward_length");
  if (!qwen && width > 0) config["intermediate_size"] = width;
  if (!mixtral) config["norm_topk_prob"] = qwen;
}

OutputJson llama_config(const GgufFields& fields, const GgufArchitecture& architecture) {
  const GgufFile& file = fields.file();
  const std::int64_t hidden = fields.integer("embedding_length");
  const std::int64_t heads = fields.integer("attention.head_count");
  if (heads <= 0)
    fields.metadata().fail(fields.key("attention.head_count"), "expected a number above 0");
  const std::int64_t head_dim = fields.integer_or("attention.key_length", hidden / heads);
  if (fields.integer_or("attention.value_length", head_dim) != head_dim) {
    fields.metadata().fail(fields.key("attention.value_length"),
                           fmt::format("is not the {} of a head's keys", head_dim));
  }
  const std::int64_t context = fields.integer("context_length");
  const bool gemma = architecture.name.starts_with("gemma");
  OutputJson config = {{"hidden_size", hidden},
                       {"intermediate_size", fields.integer("feed_forward_length")},
                       {"num_hidden_layers", fields.integer("block_count")},
                       {"num_attention_heads", heads},
                       {"num_key_value_heads", fields.integer_or("attention.head_count_kv", heads)},
                       {"head_dim", head_dim},
                       {"max_position_embeddings", context},
                       {"rms_norm_eps", fields.number("attention.layer_norm_rms_epsilon")},
                       {"rope_theta", fields.number_or("rope.freq_base", 1e4)},
                       {"rope_scaling", rope_scaling(fields, context)}};
  if (gemma) {
    add_gemma(config, fields, architecture);
  } else {
    config["hidden_act"] = "silu";
  }
  if (architecture.name == "llama") {
    config["attention_bias"] = file.contains("blk.0.attn_q.bias");
  }
  const std::int64_t turned = fields.integer_or("rope.dimension_count", head_dim);
  if (architecture.name == "phi3") {
    config["partial_rotary_factor"] = static_cast<double>(turned) / static_cast<double>(head_dim);
    if (fields.contains("attention.sliding_window")) {
      config["sliding_window"] = fields.integer("attention.sliding_window");
    }
  } else if (turned != head_dim) {
    fields.metadata().fail(
        fields.key("rope.dimension_count"),
        fmt::format("turns {} of a head's {} dimensions, which is not read of a '{}' model", turned,
                    head_dim, architecture.name));
  }
  if (architecture.mixture) add_mixture(config, fields, architecture);
  return config;
}

}  // namespace

std::string gguf_config_json(const GgufFile& file, at::ScalarType dtype) {
  const GgufArchitecture& architecture = gguf_architecture_of(file);
  const GgufFields fields(file);
  OutputJson config = {{"model_type", architecture.model_type},
                       {"architectures", {architecture.class_name}},
                       {"vocab_size", vocabulary_of(file)},
                       {"tie_word_embeddings", !file.contains("output.weight")},
                       {"torch_dtype", dtype_name(dtype)}};
  config.update(architecture.name == "gpt2" ? gpt2_config(fields)
                                            : llama_config(fields, architecture));
  add_special_tokens(config, file.metadata());
  return json_text(config, 2) + "\n";
}

}  // namespace taskneuron

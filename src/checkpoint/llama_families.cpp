#include <fmt/format.h>

#include "checkpoint/config_fields.h"
#include "checkpoint/families.h"
#include "checkpoint/rotary_config.h"

namespace taskneuron {

namespace {

LayerConfig rotary_layer(const ModelConfig& config, const JsonView& json,
                         const RotaryFields& fields = {}) {
  LayerConfig layer;
  layer.rotary = read_rotary(json, config, fields);
  return layer;
}

void read_llama(ModelConfig& config, const JsonView& json) {
  set_llama_style(config, json);
  config.qkv_bias = config.attention_output_bias = json.boolean_or("attention_bias", false);
  config.ffn_bias = json.boolean_or("mlp_bias", false);
  set_layers(config, json, rotary_layer(config, json));
}

void read_mistral(ModelConfig& config, const JsonView& json) {
  set_llama_style(config, json);
  set_layers(config, json, rotary_layer(config, json));
  const bool slides = json.find("sliding_window").has_value();
  set_windows(config, json, [&](std::int64_t) { return slides; });
}

// In Qwen's files the layers from max_window_layers on may slide.
void set_qwen_windows(ModelConfig& config, const JsonView& json) {
  const bool slides =
      json.boolean_or("use_sliding_window", false) && json.find("sliding_window").has_value();
  const std::int64_t first = json.integer_or("max_window_layers", 28);
  set_windows(config, json, [&](std::int64_t l) { return slides && l >= first; });
}

void read_qwen2(ModelConfig& config, const JsonView& json) {
  set_llama_style(config, json);
  config.qkv_bias = true;
  set_layers(config, json, rotary_layer(config, json));
  set_qwen_windows(config, json);
}

void read_qwen3(ModelConfig& config, const JsonView& json) {
  set_llama_style(config, json, {.head_dim = 128});
  config.qkv_bias = config.attention_output_bias = json.boolean_or("attention_bias", false);
  LayerConfig layer = rotary_layer(config, json);
  layer.query_key_norm = QueryKeyNorm::kPerHead;
  set_layers(config, json, layer);
  set_qwen_windows(config, json);
}

// Experts that every layer has, each as wide as `width_key` says. Their number stands under either
// name, whatever the family.
void set_mixture(ModelConfig& config, const JsonView& json, const char* width_key,
                 const MixtureConfig& defaults) {
  constexpr std::int64_t kMaxExperts = 4096, kMaxUnits = std::int64_t{1} << 24;
  constexpr std::int64_t kMaxOfAllLayers = std::int64_t{1} << 18;
  MixtureConfig& mixture = config.mixture;
  const char* experts_key = json.find("num_experts") ? "num_experts" : "num_local_experts";
  mixture.experts = positive_or(json, experts_key, defaults.experts);
  mixture.per_token = positive_or(json, "num_experts_per_tok", defaults.per_token);
  mixture.normalized = defaults.normalized;
  if (mixture.experts == 1 || mixture.experts > kMaxExperts ||
      mixture.per_token > mixture.experts) {
    unsupported(json, fmt::format("a mixture that takes {} of {} experts", mixture.per_token,
                                  mixture.experts));
  }
  const std::int64_t width = positive(json, width_key);
  if (width > kMaxUnits / mixture.experts || mixture.experts > kMaxOfAllLayers / config.layers) {
    unsupported(json, fmt::format("a model of {} layers of {} experts of {} units", config.layers,
                                  mixture.experts, width));
  }
  config.ffn_width = mixture.experts * width;
}

void read_mixtral(ModelConfig& config, const JsonView& json) {
  set_llama_style(config, json, {.norm_epsilon = 1e-5});
  set_mixture(config, json, "intermediate_size", {8, 2, true});
  set_layers(config, json, rotary_layer(config, json, {.default_theta = 1e6}));
  const bool slides = json.find("sliding_window").has_value();
  set_windows(config, json, [&](std::int64_t) { return slides; });
}

// Layers of Qwen3 may be dense; no published model has such.
void require_only_mixtures(const JsonView& json) {
  const auto dense = json.find("mlp_only_layers");
  if (dense && !dense->array().empty()) unsupported(*dense, "dense layers among mixtures");
  if (json.integer_or("decoder_sparse_step", 1) != 1) {
    unsupported(json, "decoder_sparse_step other than 1");
  }
}

void read_qwen3_moe(ModelConfig& config, const JsonView& json) {
  set_llama_style(config, json);
  require_only_mixtures(json);
  config.qkv_bias = config.attention_output_bias = json.boolean_or("attention_bias", false);
  LayerConfig layer = rotary_layer(config, json);
  layer.query_key_norm = QueryKeyNorm::kPerHead;
  set_layers(config, json, layer);
  const bool slides =
      json.boolean_or("use_sliding_window", false) && json.find("sliding_window").has_value();
  set_windows(config, json, [&](std::int64_t) { return slides; });
  set_mixture(config, json, "moe_intermediate_size",
              {128, 8, json.boolean_or("norm_topk_prob", false)});
}

void read_olmoe(ModelConfig& config, const JsonView& json) {
  set_llama_style(config, json, {.norm_epsilon = 1e-5});
  if (json.find("clip_qkv")) unsupported(json, "clip_qkv");
  config.qkv_bias = config.attention_output_bias = json.boolean_or("attention_bias", false);
  LayerConfig layer = rotary_layer(config, json);
  layer.query_key_norm = QueryKeyNorm::kAllHeads;
  set_layers(config, json, layer);
  set_mixture(config, json, "intermediate_size", {64, 8, json.boolean_or("norm_topk_prob", false)});
}

void read_olmo2(ModelConfig& config, const JsonView& json) {
  set_llama_style(config, json, {.norm_epsilon = 1e-5});
  config.qkv_bias = config.attention_output_bias = json.boolean_or("attention_bias", false);
  LayerConfig layer = rotary_layer(config, json);
  layer.attention_norm = layer.ffn_norm = false;
  layer.attention_output_norm = layer.ffn_output_norm = OutputNorm::kAdded;
  layer.query_key_norm = QueryKeyNorm::kAllHeads;
  set_layers(config, json, layer);
}

void read_granite(ModelConfig& config, const JsonView& json) {
  read_llama(config, json);
  config.attention_scale = factor_or(json, "attention_multiplier", 1);
  config.embedding_scale = factor_or(json, "embedding_multiplier", 1);
  config.residual_scale = factor_or(json, "residual_multiplier", 1);
  config.logit_scale = 1 / factor_or(json, "logits_scaling", 1);
}

// Every no_rope_layer_interval-th layer has no positions, or those that no_rope_layers marks with
// 0.
void read_smollm3(ModelConfig& config, const JsonView& json) {
  set_llama_style(config, json, {.tied_head = true});
  config.qkv_bias = config.attention_output_bias = json.boolean_or("attention_bias", false);
  config.ffn_bias = json.boolean_or("mlp_bias", false);
  set_layers(config, json, rotary_layer(config, json, {.default_theta = 2e6}));
  const std::int64_t interval = positive_or(json, "no_rope_layer_interval", 4);
  const auto marks = json.find("no_rope_layers");
  const std::vector<JsonView> marked = marks ? marks->array() : std::vector<JsonView>();
  if (marks && marked.size() < config.each_layer.size()) {
    marks->fail(fmt::format("expected one of each of the {} layers, found {}", config.layers,
                            marked.size()));
  }
  for (std::size_t l = 0; l < config.each_layer.size(); ++l) {
    const bool turned =
        marks ? marked[l].integer() != 0 : (static_cast<std::int64_t>(l) + 1) % interval != 0;
    if (!turned) config.each_layer[l].rotary = {};
  }
  const bool slides =
      json.boolean_or("use_sliding_window", false) && json.find("sliding_window").has_value();
  set_windows(config, json,
              [&](std::int64_t l) { return slides && config.layer(l).rotary.frequency.empty(); });
}

// Phi-4 and Phi-4-mini too.
void read_phi3(ModelConfig& config, const JsonView& json) {
  set_llama_style(config, json, {.norm_epsilon = 1e-5});
  config.qkv = QkvOrder::kStacked;
  config.fused_gate_up = true;
  set_layers(config, json, rotary_layer(config, json, {.yarn_is_longrope = true}));
  const bool slides = json.find("sliding_window").has_value();
  set_windows(config, json, [&](std::int64_t) { return slides; });
}

void read_stablelm(ModelConfig& config, const JsonView& json) {
  set_llama_sizes(config, json);
  config.norm_epsilon = epsilon_or(json, "layer_norm_eps", 1e-5);
  config.activation = parse_activation(json, json.string_or("hidden_act", "silu"));
  config.gated = true;
  config.tied_head = json.boolean_or("tie_word_embeddings", false);
  config.qkv_bias = json.boolean_or("use_qkv_bias", false);
  LayerConfig layer = rotary_layer(config, json, {.share = "rope_pct", .default_share = 0.25});
  if (json.boolean_or("qk_layernorm", false)) layer.query_key_norm = QueryKeyNorm::kEachHead;
  if (json.boolean_or("use_parallel_residual", false)) {
    layer.block = BlockKind::kParallel;
    layer.ffn_norm = false;
  }
  set_layers(config, json, layer);
}

}  // namespace

std::vector<Family> llama_families() {
  return {{"llama", read_llama},     {"mistral", read_mistral},     {"qwen2", read_qwen2},
          {"qwen3", read_qwen3},     {"olmo2", read_olmo2},         {"granite", read_granite},
          {"smollm3", read_smollm3}, {"phi3", read_phi3},           {"stablelm", read_stablelm},
          {"mixtral", read_mixtral}, {"qwen3_moe", read_qwen3_moe}, {"olmoe", read_olmoe}};
}

}  // namespace taskneuron

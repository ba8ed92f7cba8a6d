#include "taskneuron/checkpoint/model_config.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <cmath>
#include <numbers>

#include "base/json.h"
#include "taskneuron/base/error.h"

namespace taskneuron {

namespace {

// Refuses a value that our engine does not compute.
[[noreturn]] void unsupported(const JsonView& json, const std::string& what) {
  json.fail(what + " is not supported");
}

void require_false(const JsonView& json, const char* key) {
  if (json.boolean_or(key, false)) unsupported(json, fmt::format("'{}': true", key));
}

void require_true(const JsonView& json, const char* key) {
  if (!json.boolean_or(key, true)) unsupported(json, fmt::format("'{}': false", key));
}

std::int64_t positive(const JsonView& json, const std::string& key) {
  const JsonView field = json.at(key);
  const std::int64_t value = field.integer();
  // Far above any real model; keeps products of sizes inside 64 bits.
  constexpr std::int64_t kMaxSize = std::int64_t{1} << 24;
  if (value <= 0 || value > kMaxSize) {
    field.fail(fmt::format("expected a size between 1 and {}, found {}", kMaxSize, value));
  }
  return value;
}

std::int64_t positive_or(const JsonView& json, const std::string& key, std::int64_t fallback) {
  return json.find(key) ? positive(json, key) : fallback;
}

// Added to a mean of squares before its root is taken.
double epsilon_or(const JsonView& json, const std::string& key, double fallback) {
  const double value = json.number_or(key, fallback);
  if (!(value > 0 && value < 1)) {
    json.at(key).fail(fmt::format("expected a small number above 0, found {}", value));
  }
  return value;
}

Activation parse_activation(const JsonView& json, const std::string& name) {
  if (name == "gelu") return Activation::kGelu;
  if (name == "gelu_new" || name == "gelu_pytorch_tanh" || name == "gelu_fast") {
    return Activation::kGeluTanh;
  }
  if (name == "relu") return Activation::kRelu;
  if (name == "silu" || name == "swish") return Activation::kSilu;
  unsupported(json, fmt::format("activation '{}'", name));
}

void set_heads(ModelConfig& config, const JsonView& json, const char* heads_key) {
  config.heads = positive(json, heads_key);
  config.kv_heads = positive_or(json, "num_key_value_heads", config.heads);
  if (!json.find("head_dim") && config.hidden % config.heads != 0) {
    json.fail(
        fmt::format("hidden size {} is not a multiple of {} heads", config.hidden, config.heads));
  }
  config.head_dim = positive_or(json, "head_dim", config.hidden / config.heads);
  if (config.heads % config.kv_heads != 0) {
    json.fail(
        fmt::format("{} heads cannot share {} key-value heads", config.heads, config.kv_heads));
  }
  config.attention_scale = 1 / std::sqrt(static_cast<double>(config.head_dim));
}

// Llama-3's stretching of low frequencies (transformers, _compute_llama3_parameters).
void scale_llama3(std::vector<double>& frequency, const JsonView& scaling) {
  const double factor = scaling.at("factor").number();
  const double low_factor = scaling.at("low_freq_factor").number();
  const double high_factor = scaling.at("high_freq_factor").number();
  const double old_context = scaling.at("original_max_position_embeddings").number();
  for (double& f : frequency) {
    const double wavelength = 2 * std::numbers::pi / f;
    if (wavelength > old_context / low_factor) {
      f /= factor;
    } else if (wavelength >= old_context / high_factor) {
      const double smooth = (old_context / wavelength - low_factor) / (high_factor - low_factor);
      f = (1 - smooth) * f / factor + smooth * f;
    }
  }
}

// LayerConfig::rotary_frequency over a share of each head's dimensions. Reads theta and scaling
// from rope_theta/rope_scaling or from the newer rope_parameters.
std::vector<double> read_rotation(const JsonView& json, std::int64_t head_dim, double share,
                                  const char* theta_key) {
  const auto parameters = json.find("rope_parameters");
  const double theta = parameters && parameters->find("rope_theta")
                           ? parameters->at("rope_theta").number()
                           : json.number_or("rope_theta", json.number_or(theta_key, 10000.0));
  if (!(theta > 0)) json.fail(fmt::format("rope theta must be positive, found {}", theta));
  if (!(share > 0 && share <= 1))
    json.fail(fmt::format("rotary share must be in (0, 1], found {}", share));
  const auto dims = static_cast<std::int64_t>(static_cast<double>(head_dim) * share);
  if (dims <= 0 || dims % 2 != 0) {
    json.fail(fmt::format("rotary embedding over {} dimensions is not supported", dims));
  }
  std::vector<double> frequency;
  for (std::int64_t i = 0; i < dims / 2; ++i) {
    frequency.push_back(std::pow(theta, -2.0 * static_cast<double>(i) / static_cast<double>(dims)));
  }
  const auto scaling = parameters ? parameters : json.find("rope_scaling");
  if (!scaling) return frequency;
  const std::string kind = scaling->string_or("rope_type", scaling->string_or("type", "default"));
  if (kind == "llama3") {
    scale_llama3(frequency, *scaling);
  } else if (kind == "linear") {
    for (double& f : frequency) f /= scaling->at("factor").number();
  } else if (kind != "default") {
    unsupported(*scaling, fmt::format("rope type '{}'", kind));
  }
  for (const double f : frequency) {
    if (!std::isfinite(f) || f < 0) scaling->fail("scales a rotation beyond all numbers");
  }
  return frequency;
}

double rotary_share(const JsonView& json, const char* old_key, double fallback) {
  const auto parameters = json.find("rope_parameters");
  if (parameters && parameters->find("partial_rotary_factor")) {
    return parameters->at("partial_rotary_factor").number();
  }
  return json.number_or("partial_rotary_factor", json.number_or(old_key, fallback));
}

void set_sliding_window(LayerConfig& layer, const JsonView& json) {
  if (json.find("sliding_window")) layer.sliding_window = positive(json, "sliding_window");
}

// Sizes under the names that Llama and its descendants use.
void set_llama_sizes(ModelConfig& config, const JsonView& json) {
  config.layers = positive(json, "num_hidden_layers");
  config.hidden = positive(json, "hidden_size");
  config.ffn_width = positive(json, "intermediate_size");
  config.max_positions = positive(json, "max_position_embeddings");
  set_heads(config, json, "num_attention_heads");
}

void set_llama_style(ModelConfig& config, const JsonView& json) {
  set_llama_sizes(config, json);
  config.norm = NormKind::kRmsNorm;
  config.norm_epsilon = epsilon_or(json, "rms_norm_eps", 1e-6);
  config.activation = parse_activation(json, json.string_or("hidden_act", "silu"));
  config.gated = true;
  config.tied_head = json.boolean_or("tie_word_embeddings", false);
}

void read_llama(ModelConfig& config, LayerConfig& layer, const JsonView& json) {
  set_llama_style(config, json);
  layer.rotary_frequency = read_rotation(json, config.head_dim, 1, "rope_theta");
  config.qkv_bias = config.attention_output_bias = json.boolean_or("attention_bias", false);
  config.ffn_bias = json.boolean_or("mlp_bias", false);
}

void read_mistral(ModelConfig& config, LayerConfig& layer, const JsonView& json) {
  set_llama_style(config, json);
  layer.rotary_frequency = read_rotation(json, config.head_dim, 1, "rope_theta");
  set_sliding_window(layer, json);
}

void read_qwen2(ModelConfig& config, LayerConfig& layer, const JsonView& json) {
  set_llama_style(config, json);
  layer.rotary_frequency = read_rotation(json, config.head_dim, 1, "rope_theta");
  config.qkv_bias = true;
  require_false(json, "use_sliding_window");
}

void read_gemma(ModelConfig& config, LayerConfig& layer, const JsonView& json) {
  set_llama_style(config, json);
  layer.rotary_frequency = read_rotation(json, config.head_dim, 1, "rope_theta");
  config.norm = NormKind::kRmsNormOne;
  // Checkpoints that say "gelu" were trained with the tanh form; transformers does the same.
  config.activation =
      parse_activation(json, json.string_or("hidden_activation", "gelu_pytorch_tanh"));
  config.tied_head = json.boolean_or("tie_word_embeddings", true);
  config.qkv_bias = config.attention_output_bias = json.boolean_or("attention_bias", false);
  config.embedding_scale = std::sqrt(static_cast<double>(config.hidden));
}

void read_phi3(ModelConfig& config, LayerConfig& layer, const JsonView& json) {
  set_llama_style(config, json);
  layer.rotary_frequency = read_rotation(
      json, config.head_dim, rotary_share(json, "partial_rotary_factor", 1), "rope_theta");
  set_sliding_window(layer, json);
  config.qkv = QkvOrder::kStacked;
  config.fused_gate_up = true;
}

void read_phi(ModelConfig& config, LayerConfig& layer, const JsonView& json) {
  set_llama_sizes(config, json);
  layer.rotary_frequency = read_rotation(
      json, config.head_dim, rotary_share(json, "partial_rotary_factor", 0.5), "rope_theta");
  require_false(json, "qk_layernorm");
  config.norm_epsilon = epsilon_or(json, "layer_norm_eps", 1e-5);
  config.activation = parse_activation(json, json.string_or("hidden_act", "gelu_new"));
  layer.block = BlockKind::kParallel;
  layer.ffn_norm = false;
  config.qkv_bias = config.attention_output_bias = config.ffn_bias = config.head_bias = true;
  config.tied_head = json.boolean_or("tie_word_embeddings", false);
}

void read_gpt_neox(ModelConfig& config, LayerConfig& layer, const JsonView& json) {
  set_llama_sizes(config, json);
  layer.rotary_frequency = read_rotation(json, config.head_dim,
                                         rotary_share(json, "rotary_pct", 0.25), "rotary_emb_base");
  config.norm_epsilon = epsilon_or(json, "layer_norm_eps", 1e-5);
  config.activation = parse_activation(json, json.string_or("hidden_act", "gelu"));
  layer.block = json.boolean_or("use_parallel_residual", true) ? BlockKind::kParallel
                                                               : BlockKind::kSequential;
  config.qkv = QkvOrder::kInterleaved;
  config.qkv_bias = config.attention_output_bias = json.boolean_or("attention_bias", true);
  config.ffn_bias = true;
  config.tied_head = json.boolean_or("tie_word_embeddings", false);
}

void read_gpt2(ModelConfig& config, LayerConfig&, const JsonView& json) {
  config.layers = positive(json, "n_layer");
  config.hidden = positive(json, "n_embd");
  config.ffn_width = positive_or(json, "n_inner", 4 * config.hidden);
  config.max_positions = positive(json, json.find("n_positions") ? "n_positions" : "n_ctx");
  set_heads(config, json, "n_head");
  require_true(json, "scale_attn_weights");
  require_false(json, "scale_attn_by_inverse_layer_idx");
  require_false(json, "add_cross_attention");
  config.norm_epsilon = epsilon_or(json, "layer_norm_epsilon", 1e-5);
  config.activation = parse_activation(json, json.string_or("activation_function", "gelu_new"));
  config.position = PositionKind::kLearned;
  config.qkv = QkvOrder::kStacked;
  config.qkv_bias = config.attention_output_bias = config.ffn_bias = true;
  config.transposed_linears = true;
  config.tied_head = json.boolean_or("tie_word_embeddings", true);
}

void read_bloom(ModelConfig& config, LayerConfig&, const JsonView& json) {
  config.layers = positive(json, json.find("n_layer") ? "n_layer" : "num_hidden_layers");
  config.hidden = positive(json, json.find("hidden_size") ? "hidden_size" : "n_embed");
  config.ffn_width = 4 * config.hidden;
  config.max_positions = positive_or(json, "seq_length", 2048);
  set_heads(config, json, json.find("n_head") ? "n_head" : "num_attention_heads");
  require_false(json, "apply_residual_connection_post_layernorm");
  config.norm_epsilon = epsilon_or(json, "layer_norm_epsilon", 1e-5);
  config.activation = Activation::kGeluTanh;
  config.position = PositionKind::kAlibi;
  config.embedding_norm = true;
  config.qkv = QkvOrder::kInterleaved;
  config.qkv_bias = config.attention_output_bias = config.ffn_bias = true;
  config.tied_head = json.boolean_or("tie_word_embeddings", true);
}

void read_opt(ModelConfig& config, LayerConfig& layer, const JsonView& json) {
  config.layers = positive(json, "num_hidden_layers");
  config.hidden = positive(json, "hidden_size");
  config.ffn_width = positive(json, "ffn_dim");
  config.max_positions = positive(json, "max_position_embeddings");
  set_heads(config, json, "num_attention_heads");
  require_true(json, "layer_norm_elementwise_affine");
  const bool pre_norm = json.boolean_or("do_layer_norm_before", true);
  layer.attention_norm = layer.ffn_norm = pre_norm;
  layer.attention_output_norm = layer.ffn_output_norm =
      pre_norm ? OutputNorm::kNone : OutputNorm::kSum;
  config.final_norm = pre_norm && !json.boolean_or("_remove_final_layer_norm", false);
  config.activation = parse_activation(json, json.string_or("activation_function", "relu"));
  config.position = PositionKind::kLearned;
  config.position_offset = 2;
  config.qkv_bias = config.attention_output_bias = config.ffn_bias =
      json.boolean_or("enable_bias", true);
  config.embedding_width = positive_or(json, "word_embed_proj_dim", config.hidden);
  config.tied_head = json.boolean_or("tie_word_embeddings", true);
}

struct FamilyReader {
  const char* model_type;
  // Fills in the config but for its layers, and the layer that all of them are like.
  void (*read)(ModelConfig&, LayerConfig&, const JsonView&);
};
constexpr std::array kFamilies = {
    FamilyReader{"gpt2", read_gpt2},   FamilyReader{"gpt_neox", read_gpt_neox},
    FamilyReader{"llama", read_llama}, FamilyReader{"mistral", read_mistral},
    FamilyReader{"qwen2", read_qwen2}, FamilyReader{"bloom", read_bloom},
    FamilyReader{"opt", read_opt},     FamilyReader{"phi", read_phi},
    FamilyReader{"phi3", read_phi3},   FamilyReader{"gemma", read_gemma},
};

// A file may claim any number, and each layer takes memory.
void check_depth(const JsonView& json, const ModelConfig& config) {
  constexpr std::int64_t kMost = 1 << 14;
  if (config.layers > kMost) {
    json.fail(fmt::format("expected at most {} layers, found {}", kMost, config.layers));
  }
}

void check_layer_types(const JsonView& json, const LayerConfig& layer) {
  const auto types = json.find("layer_types");
  if (!types) return;
  const char* expected = layer.sliding_window ? "sliding_attention" : "full_attention";
  for (const JsonView& type : types->array()) {
    if (type.string() != expected) unsupported(type, fmt::format("'{}' here", type.string()));
  }
}

void read_end_of_sequence(ModelConfig& config, const JsonView& json) {
  const auto field = json.find("eos_token_id");
  if (!field) return;
  if (field->value().is_array()) {
    for (const JsonView& id : field->array()) config.end_of_sequence.push_back(id.integer());
  } else {
    config.end_of_sequence.push_back(field->integer());
  }
}

}  // namespace

std::vector<std::string> supported_model_types() {
  std::vector<std::string> names;
  for (const FamilyReader& family : kFamilies) names.emplace_back(family.model_type);
  return names;
}

namespace {

ModelConfig config_of(const JsonView& json) {
  ModelConfig config;
  config.model_type = json.at("model_type").string();
  for (const FamilyReader& family : kFamilies) {
    if (config.model_type != family.model_type) continue;
    if (json.find("quantization_config")) unsupported(json, "a quantized checkpoint");
    config.vocabulary = positive(json, "vocab_size");
    LayerConfig layer;
    family.read(config, layer, json);
    check_depth(json, config);
    config.each_layer.assign(static_cast<std::size_t>(config.layers), layer);
    if (config.embedding_width == 0) config.embedding_width = config.hidden;
    config.dtype = json.string_or("torch_dtype", json.string_or("dtype", ""));
    read_end_of_sequence(config, json);
    check_layer_types(json, layer);
    return config;
  }
  json.fail(fmt::format("model_type '{}' is not supported; supported are {}", config.model_type,
                        fmt::join(supported_model_types(), ", ")));
}

}  // namespace

ModelConfig read_model_config(const std::filesystem::path& config_json) {
  const Json document = read_json(config_json);
  return config_of(JsonView(document, config_json.string()));
}

ModelConfig parse_model_config(std::string_view config_json, const std::string& where) {
  const Json document = parse_json(config_json, where);
  return config_of(JsonView(document, where));
}

}  // namespace taskneuron

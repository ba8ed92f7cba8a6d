#include "checkpoint/config_fields.h"

#include <fmt/format.h>

#include <cmath>

namespace taskneuron {

void unsupported(const JsonView& json, const std::string& what) {
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
  constexpr std::int64_t kMaxSize = std::int64_t{1} << 24;
  if (value <= 0 || value > kMaxSize) {
    field.fail(fmt::format("expected a size between 1 and {}, found {}", kMaxSize, value));
  }
  return value;
}

std::int64_t positive_or(const JsonView& json, const std::string& key, std::int64_t fallback) {
  return json.find(key) ? positive(json, key) : fallback;
}

double epsilon_or(const JsonView& json, const std::string& key, double fallback) {
  const double value = json.number_or(key, fallback);
  if (!(value > 0 && value < 1)) {
    json.at(key).fail(fmt::format("expected a small number above 0, found {}", value));
  }
  return value;
}

double factor_or(const JsonView& json, const std::string& key, double fallback) {
  const double value = json.number_or(key, fallback);
  // Far beyond any real model; keeps products inside float32.
  constexpr double kMost = 1e6;
  if (!(value >= 1 / kMost && value <= kMost)) {
    json.at(key).fail(
        fmt::format("expected a number between {:g} and {:g}, found {}", 1 / kMost, kMost, value));
  }
  return value;
}

double softcap_or(const JsonView& json, const std::string& key, double fallback) {
  const Json& object = json.object();
  const auto found = object.find(key);
  if (found != object.end() && found->is_null()) return 0;
  return fallback == 0 && found == object.end() ? 0 : factor_or(json, key, fallback);
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

void set_heads(ModelConfig& config, const JsonView& json, const char* heads_key,
               const char* kv_heads_key, std::int64_t default_head_dim) {
  config.heads = positive(json, heads_key);
  config.kv_heads = positive_or(json, kv_heads_key, config.heads);
  if (!json.find("head_dim") && default_head_dim == 0 && config.hidden % config.heads != 0) {
    json.fail(
        fmt::format("hidden size {} is not a multiple of {} heads", config.hidden, config.heads));
  }
  config.head_dim = positive_or(
      json, "head_dim", default_head_dim > 0 ? default_head_dim : config.hidden / config.heads);
  if (config.heads % config.kv_heads != 0) {
    json.fail(
        fmt::format("{} heads cannot share {} key-value heads", config.heads, config.kv_heads));
  }
  config.attention_scale = 1 / std::sqrt(static_cast<double>(config.head_dim));
}

void set_llama_sizes(ModelConfig& config, const JsonView& json, std::int64_t default_head_dim) {
  config.layers = positive(json, "num_hidden_layers");
  config.hidden = positive(json, "hidden_size");
  config.ffn_width = positive(json, "intermediate_size");
  config.max_positions = positive(json, "max_position_embeddings");
  set_heads(config, json, "num_attention_heads", "num_key_value_heads", default_head_dim);
}

void set_llama_style(ModelConfig& config, const JsonView& json, const LlamaDefaults& defaults) {
  set_llama_sizes(config, json, defaults.head_dim);
  config.norm = NormKind::kRmsNorm;
  config.norm_epsilon = epsilon_or(json, "rms_norm_eps", defaults.norm_epsilon);
  config.activation = parse_activation(json, json.string_or("hidden_act", "silu"));
  config.gated = true;
  config.tied_head = json.boolean_or("tie_word_embeddings", defaults.tied_head);
}

void set_layers(ModelConfig& config, const JsonView& json, const LayerConfig& layer) {
  // A file may claim any number, and each layer takes memory.
  constexpr std::int64_t kMost = 1 << 14;
  if (config.layers > kMost) {
    json.fail(fmt::format("expected at most {} layers, found {}", kMost, config.layers));
  }
  // A model of a thousand layers turns fewer than a thousand pairs in each.
  constexpr std::int64_t kMaxFrequencies = std::int64_t{1} << 20;
  const auto pairs =
      static_cast<std::int64_t>(layer.rotary.frequency.size() + layer.rotary.long_frequency.size());
  if (pairs > kMaxFrequencies / config.layers) {
    unsupported(json, fmt::format("{} layers that each turn {} pairs", config.layers, pairs));
  }
  config.each_layer.assign(static_cast<std::size_t>(config.layers), layer);
}

void set_windows(ModelConfig& config, const JsonView& json,
                 const std::function<bool(std::int64_t layer)>& is_sliding) {
  const auto types = json.find("layer_types");
  const std::vector<JsonView> listed = types ? types->array() : std::vector<JsonView>();
  if (types && listed.size() != config.each_layer.size()) {
    types->fail(fmt::format("expected one of each of the {} layers, found {}", config.layers,
                            listed.size()));
  }
  for (std::size_t l = 0; l < config.each_layer.size(); ++l) {
    bool sliding = is_sliding(static_cast<std::int64_t>(l));
    if (types) {
      const std::string type = listed[l].string();
      sliding = type == "sliding_attention";
      if (!sliding && type != "full_attention") {
        unsupported(listed[l], fmt::format("attention of the type '{}'", type));
      }
    }
    if (sliding) config.each_layer[l].sliding_window = positive(json, "sliding_window");
  }
}

}  // namespace taskneuron

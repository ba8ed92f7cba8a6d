#include <fmt/format.h>

#include "checkpoint/config_fields.h"
#include "checkpoint/families.h"
#include "checkpoint/rotary_config.h"

namespace taskneuron {

namespace {

// What GPT-2 and GPT-J call alike.
void set_gpt2_sizes(ModelConfig& config, const JsonView& json) {
  config.layers = positive(json, "n_layer");
  config.hidden = positive(json, "n_embd");
  config.ffn_width = positive_or(json, "n_inner", 4 * config.hidden);
  config.max_positions = positive(json, json.find("n_positions") ? "n_positions" : "n_ctx");
  set_heads(config, json, "n_head");
  config.norm_epsilon = epsilon_or(json, "layer_norm_epsilon", 1e-5);
  config.activation = parse_activation(json, json.string_or("activation_function", "gelu_new"));
}

void read_gpt2(ModelConfig& config, const JsonView& json) {
  set_gpt2_sizes(config, json);
  require_true(json, "scale_attn_weights");
  require_false(json, "scale_attn_by_inverse_layer_idx");
  require_false(json, "add_cross_attention");
  config.position = PositionKind::kLearned;
  config.qkv = QkvOrder::kStacked;
  config.qkv_bias = config.attention_output_bias = config.ffn_bias = true;
  config.transposed_linears = true;
  config.tied_head = json.boolean_or("tie_word_embeddings", true);
  set_layers(config, json, {});
}

void read_gptj(ModelConfig& config, const JsonView& json) {
  set_gpt2_sizes(config, json);
  config.ffn_bias = config.head_bias = true;
  config.tied_head = json.boolean_or("tie_word_embeddings", false);
  const RotaryBase base{10000, positive(json, "rotary_dim")};
  if (base.dims > config.head_dim) {
    json.at("rotary_dim")
        .fail(fmt::format("expected at most the {} dimensions of a head, found {}", config.head_dim,
                          base.dims));
  }
  LayerConfig layer;
  layer.rotary = scaled_rotary(base, nullptr, config, json);
  layer.rotary.pairs = RotaryPairs::kNeighbours;
  layer.block = BlockKind::kParallel;
  layer.ffn_norm = false;
  set_layers(config, json, layer);
}

// "global" or "local" of every layer: listed, or as patterns and how often each is repeated.
std::vector<std::string> gpt_neo_attention(const ModelConfig& config, const JsonView& json) {
  if (const auto listed = json.find("attention_layers")) return listed->strings();
  std::vector<std::string> result;
  const auto patterns = json.find("attention_types");
  if (!patterns) {
    for (std::int64_t l = 0; l < config.layers; ++l) result.push_back(l % 2 ? "local" : "global");
    return result;
  }
  for (const JsonView& item : patterns->array()) {
    const std::vector<JsonView> pair = item.array();
    if (pair.size() != 2) item.fail("expected a pattern and how often it is repeated");
    const std::vector<std::string> pattern = pair[0].strings();
    const std::int64_t times = pair[1].integer();
    if (pattern.empty() || times < 0 || times > config.layers) {
      item.fail("expected a pattern and how often it is repeated");
    }
    for (std::int64_t i = 0; i < times; ++i) {
      result.insert(result.end(), pattern.begin(), pattern.end());
      if (result.size() > config.each_layer.size())
        item.fail("describes more layers than there are");
    }
  }
  return result;
}

void read_gpt_neo(ModelConfig& config, const JsonView& json) {
  config.layers = positive(json, "num_layers");
  config.hidden = positive(json, "hidden_size");
  config.ffn_width = positive_or(json, "intermediate_size", 4 * config.hidden);
  config.max_positions = positive(json, "max_position_embeddings");
  set_heads(config, json, "num_heads");
  config.attention_scale = 1;
  config.norm_epsilon = epsilon_or(json, "layer_norm_epsilon", 1e-5);
  config.activation = parse_activation(json, json.string_or("activation_function", "gelu_new"));
  config.position = PositionKind::kLearned;
  config.attention_output_bias = config.ffn_bias = true;
  config.tied_head = json.boolean_or("tie_word_embeddings", true);
  set_layers(config, json, {});
  const std::vector<std::string> attention = gpt_neo_attention(config, json);
  if (attention.size() != config.each_layer.size()) {
    json.fail(fmt::format("describes the attention of {} layers, not of {}", attention.size(),
                          config.layers));
  }
  for (std::size_t l = 0; l < attention.size(); ++l) {
    if (attention[l] == "local") {
      config.each_layer[l].sliding_window = positive_or(json, "window_size", 256);
    } else if (attention[l] != "global") {
      unsupported(json, fmt::format("attention of the type '{}'", attention[l]));
    }
  }
}

void read_gpt_neox(ModelConfig& config, const JsonView& json) {
  set_llama_sizes(config, json);
  config.norm_epsilon = epsilon_or(json, "layer_norm_eps", 1e-5);
  config.activation = parse_activation(json, json.string_or("hidden_act", "gelu"));
  config.qkv = QkvOrder::kInterleaved;
  config.qkv_bias = config.attention_output_bias = json.boolean_or("attention_bias", true);
  config.ffn_bias = true;
  config.tied_head = json.boolean_or("tie_word_embeddings", false);
  LayerConfig layer;
  layer.rotary = read_rotary(
      json, config, {.theta = "rotary_emb_base", .share = "rotary_pct", .default_share = 0.25});
  layer.block = json.boolean_or("use_parallel_residual", true) ? BlockKind::kParallel
                                                               : BlockKind::kSequential;
  set_layers(config, json, layer);
}

void read_phi(ModelConfig& config, const JsonView& json) {
  set_llama_sizes(config, json);
  config.norm_epsilon = epsilon_or(json, "layer_norm_eps", 1e-5);
  config.activation = parse_activation(json, json.string_or("hidden_act", "gelu_new"));
  config.qkv_bias = config.attention_output_bias = config.ffn_bias = config.head_bias = true;
  config.tied_head = json.boolean_or("tie_word_embeddings", false);
  LayerConfig layer;
  layer.rotary = read_rotary(json, config, {.default_share = 0.5});
  if (json.boolean_or("qk_layernorm", false)) layer.query_key_norm = QueryKeyNorm::kPerHead;
  layer.block = BlockKind::kParallel;
  layer.ffn_norm = false;
  set_layers(config, json, layer);
}

void read_bloom(ModelConfig& config, const JsonView& json) {
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
  set_layers(config, json, {});
}

void read_falcon(ModelConfig& config, const JsonView& json) {
  const auto either = [&](const char* newer, const char* older) {
    return json.find(newer) ? newer : older;
  };
  config.layers = positive(json, either("num_hidden_layers", "n_layer"));
  config.hidden = positive(json, either("hidden_size", "n_embed"));
  config.ffn_width = positive_or(json, "ffn_hidden_size", 4 * config.hidden);
  config.max_positions = positive_or(json, "max_position_embeddings", 2048);
  set_heads(config, json, either("num_attention_heads", "n_head"),
            either("num_kv_heads", "n_head_kv"));
  // Transformers adds it once or twice, as its attention is of one kind or another.
  require_false(json, "alibi");
  const bool grouped = json.boolean_or("new_decoder_architecture", false);
  if (!grouped) config.kv_heads = json.boolean_or("multi_query", true) ? 1 : config.heads;
  config.norm_epsilon = epsilon_or(json, "layer_norm_epsilon", 1e-5);
  config.activation = parse_activation(json, json.string_or("activation", "gelu"));
  config.qkv =
      config.kv_heads == config.heads && !grouped ? QkvOrder::kInterleaved : QkvOrder::kGrouped;
  config.qkv_bias = config.attention_output_bias = config.ffn_bias = json.boolean_or("bias", false);
  config.tied_head = json.boolean_or("tie_word_embeddings", true);
  LayerConfig layer;
  layer.rotary = read_rotary(json, config);
  if (grouped || json.boolean_or("parallel_attn", true)) {
    layer.block = BlockKind::kParallel;
    layer.ffn_norm = grouped && json.integer_or("num_ln_in_parallel_attn", 2) == 2;
  }
  set_layers(config, json, layer);
}

void read_opt(ModelConfig& config, const JsonView& json) {
  config.layers = positive(json, "num_hidden_layers");
  config.hidden = positive(json, "hidden_size");
  config.ffn_width = positive(json, "ffn_dim");
  config.max_positions = positive(json, "max_position_embeddings");
  set_heads(config, json, "num_attention_heads");
  require_true(json, "layer_norm_elementwise_affine");
  const bool pre_norm = json.boolean_or("do_layer_norm_before", true);
  LayerConfig layer;
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
  set_layers(config, json, layer);
}

}  // namespace

std::vector<Family> gpt_families() {
  return {{"gpt2", read_gpt2},         {"gpt_neo", read_gpt_neo}, {"gptj", read_gptj},
          {"gpt_neox", read_gpt_neox}, {"bloom", read_bloom},     {"falcon", read_falcon},
          {"opt", read_opt},           {"phi", read_phi}};
}

}  // namespace taskneuron

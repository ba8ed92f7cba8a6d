#include <cmath>

#include "checkpoint/config_fields.h"
#include "checkpoint/families.h"
#include "checkpoint/rotary_config.h"

namespace taskneuron {

namespace {

void set_gemma_style(ModelConfig& config, const JsonView& json, std::int64_t default_head_dim) {
  set_llama_style(config, json, {.tied_head = true, .head_dim = default_head_dim});
  config.norm = NormKind::kRmsNormOne;
  // Checkpoints that say "gelu" were trained with the tanh form; transformers does the same.
  config.activation =
      parse_activation(json, json.string_or("hidden_activation", "gelu_pytorch_tanh"));
  config.qkv_bias = config.attention_output_bias = json.boolean_or("attention_bias", false);
  config.embedding_scale = std::sqrt(static_cast<double>(config.hidden));
}

void read_gemma(ModelConfig& config, const JsonView& json) {
  set_gemma_style(config, json, 0);
  LayerConfig layer;
  layer.rotary = read_rotary(json, config);
  set_layers(config, json, layer);
}

// What Gemma 2 and 3 have in common.
LayerConfig normed_layer() {
  LayerConfig layer;
  layer.attention_output_norm = layer.ffn_output_norm = OutputNorm::kAdded;
  return layer;
}

void set_scores(ModelConfig& config, const JsonView& json, double attention_softcap,
                double logit_softcap) {
  require_false(json, "use_bidirectional_attention");
  config.attention_scale = 1 / std::sqrt(factor_or(json, "query_pre_attn_scalar", 256));
  config.attention_softcap = softcap_or(json, "attn_logit_softcapping", attention_softcap);
  config.logit_softcap = softcap_or(json, "final_logit_softcapping", logit_softcap);
}

void read_gemma2(ModelConfig& config, const JsonView& json) {
  set_gemma_style(config, json, 256);
  set_scores(config, json, 50, 30);
  LayerConfig layer = normed_layer();
  layer.rotary = read_rotary(json, config);
  set_layers(config, json, layer);
  set_windows(config, json, [](std::int64_t l) { return l % 2 == 0; });
}

// Layers that slide have a rotation of their own, which is never scaled.
RotaryConfig gemma3_rotary(const ModelConfig& config, const JsonView& json, bool sliding) {
  const auto parameters = json.find("rope_parameters");
  const auto own = parameters ? parameters->find(sliding ? "sliding_attention" : "full_attention")
                              : std::nullopt;
  if (parameters && !own) {
    parameters->fail("expected 'full_attention' and 'sliding_attention' in it");
  }
  const auto scaling = sliding ? own : own ? own : json.find("rope_scaling");
  const double theta =
      sliding ? json.number_or("rope_local_base_freq", 1e4) : json.number_or("rope_theta", 1e6);
  const RotaryBase base{own ? own->number_or("rope_theta", theta) : theta, config.head_dim};
  return scaled_rotary(base, scaling ? &*scaling : nullptr, config, json);
}

void read_gemma3(ModelConfig& config, const JsonView& json) {
  set_gemma_style(config, json, 256);
  set_scores(config, json, 0, 0);
  LayerConfig layer = normed_layer();
  layer.query_key_norm = QueryKeyNorm::kPerHead;
  set_layers(config, json, layer);
  const std::int64_t pattern = positive_or(json, "sliding_window_pattern", 6);
  set_windows(config, json, [&](std::int64_t l) { return (l + 1) % pattern != 0; });
  const RotaryConfig full = gemma3_rotary(config, json, false);
  const RotaryConfig sliding = gemma3_rotary(config, json, true);
  for (LayerConfig& one : config.each_layer) one.rotary = one.sliding_window ? sliding : full;
}

}  // namespace

std::vector<Family> gemma_families() {
  return {{"gemma", read_gemma}, {"gemma2", read_gemma2}, {"gemma3_text", read_gemma3}};
}

}  // namespace taskneuron

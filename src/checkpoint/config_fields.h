#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/json.h"
#include "taskneuron/checkpoint/model_config.h"

namespace taskneuron {

// Fields of config.json that several families share. All throw Error naming file and key.

// Refuses a value that our engine does not compute.
[[noreturn]] void unsupported(const JsonView& json, const std::string& what);
void require_false(const JsonView& json, const char* key);
void require_true(const JsonView& json, const char* key);

// A size, from 1 to what keeps products of sizes inside 64 bits.
std::int64_t positive(const JsonView& json, const std::string& key);
std::int64_t positive_or(const JsonView& json, const std::string& key, std::int64_t fallback);
// Added to a mean of squares before its root is taken.
double epsilon_or(const JsonView& json, const std::string& key, double fallback);
// A number that values are multiplied with or divided by: finite and above 0.
double factor_or(const JsonView& json, const std::string& key, double fallback);
// Where scores or logits are capped: above 0; fallback where the key is missing, 0 where it is
// null.
double softcap_or(const JsonView& json, const std::string& key, double fallback);
// json: what an error names.
Activation parse_activation(const JsonView& json, const std::string& name);

// Query heads under `heads_key`, key heads under `kv_heads_key`, their size under head_dim (0:
// hidden over heads where it is missing), and 1/√size as the scale of scores. REQUIRES hidden.
void set_heads(ModelConfig& config, const JsonView& json, const char* heads_key,
               const char* kv_heads_key = "num_key_value_heads", std::int64_t default_head_dim = 0);
// Sizes under the names that Llama and its descendants use.
void set_llama_sizes(ModelConfig& config, const JsonView& json, std::int64_t default_head_dim = 0);
// What is missing from config.json.
struct LlamaDefaults {
  double norm_epsilon = 1e-6;
  bool tied_head = false;
  std::int64_t head_dim = 0;  // 0: hidden over heads
};
// Those sizes, RMS norms and a gated FFN.
void set_llama_style(ModelConfig& config, const JsonView& json, const LlamaDefaults& defaults = {});

// Makes every layer like this one. Throws Error for more layers than any model has. REQUIRES
// layers.
void set_layers(ModelConfig& config, const JsonView& json, const LayerConfig& layer);
// Gives layers the window under "sliding_window" where "layer_types" says sliding_attention, and
// none where it says full_attention; without layer_types, where is_sliding(layer) holds. A layer of
// another type is refused. REQUIRES each_layer.
void set_windows(ModelConfig& config, const JsonView& json,
                 const std::function<bool(std::int64_t layer)>& is_sliding);

}  // namespace taskneuron

#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace taskneuron {

enum class NormKind {
  kLayerNorm,   // (x - mean) / sd * weight + bias
  kRmsNorm,     // x / rms * weight
  kRmsNormOne,  // x / rms * (1 + weight), Gemma
};

enum class PositionKind { kLearned, kRotary, kAlibi };

enum class Activation { kGelu, kGeluTanh, kRelu, kSilu };

// How the outputs of the query, key and value matrices are stored; model/qkv_layout.h says which
// output is what.
enum class QkvOrder {
  kSeparate,     // three matrices
  kStacked,      // one: all queries, all keys, all values
  kInterleaved,  // one: head by head its query, its key, its value
  kGrouped       // one: key head by key head its queries, its key, its value
};

// Where a norm stands behind attention or the FFN.
enum class OutputNorm {
  kNone,
  kAdded,  // of what is added to the hidden states (Gemma 2 and 3, OLMo 2)
  kSum,    // of the hidden states after the addition (OPT 350m); sequential blocks
};

// Norms of queries and keys, before any rotation.
enum class QueryKeyNorm {
  kNone,
  kPerHead,   // of each head by itself, weight [head_dim] (Qwen 3, Gemma 3)
  kAllHeads,  // of all heads together, weight [heads * head_dim] (OLMo 2)
  kEachHead,  // of each head by itself, a weight [head_dim] and no bias of its own (StableLM 2)
};

// How a block's two parts meet the hidden states x.
enum class BlockKind {
  kSequential,  // x += attention(x); x += ffn(x)
  kParallel,    // x += attention(x) + ffn(x)
};

// A layer's FFN as experts of equal width, some of which a router picks for each token. Expert e
// holds the layer's units [e * width, (e + 1) * width); the others' ω does not exist at that token.
struct MixtureConfig {
  std::int64_t experts = 1;    // 1: a dense FFN, without a router
  std::int64_t per_token = 1;  // experts that a token takes
  // Whether the probabilities of the experts taken are scaled to add up to 1.
  bool normalized = false;
};

// Which dimensions of a head are turned together as pair i.
enum class RotaryPairs {
  kHalves,      // i and pairs + i
  kNeighbours,  // 2i and 2i + 1 (GPT-J)
};

// How queries and keys are turned by their positions.
struct RotaryConfig {
  std::vector<double> frequency;  // radians per position, one per pair; empty: no rotation
  // Of texts longer than short_positions tokens; empty: the same (longrope has two).
  std::vector<double> long_frequency;
  std::int64_t short_positions = 0;
  double scale = 1;  // cosines and sines are multiplied with it (yarn, longrope)
  RotaryPairs pairs = RotaryPairs::kHalves;

  friend bool operator==(const RotaryConfig&, const RotaryConfig&) = default;
};

// What may differ from layer to layer.
struct LayerConfig {
  BlockKind block = BlockKind::kSequential;
  bool attention_norm = true;  // of what attention reads
  // Of what the FFN reads; without it a parallel block's FFN reads what attention reads.
  bool ffn_norm = true;
  OutputNorm attention_output_norm = OutputNorm::kNone;
  OutputNorm ffn_output_norm = OutputNorm::kNone;
  QueryKeyNorm query_key_norm = QueryKeyNorm::kNone;

  RotaryConfig rotary;
  std::optional<std::int64_t> sliding_window;  // a query sees this many keys, itself included
};

// Everything that tells one decoder from another. A family is a way to read this from config.json,
// not a class.
struct ModelConfig {
  std::string model_type;  // as in config.json
  std::int64_t layers = 0;
  std::vector<LayerConfig> each_layer;  // [layers]
  std::int64_t hidden = 0;              // d
  std::int64_t ffn_width = 0;           // F, of all experts together
  std::int64_t vocabulary = 0;
  std::int64_t heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;
  std::int64_t max_positions = 0;  // longest sequence the model was made for, in tokens

  NormKind norm = NormKind::kLayerNorm;
  double norm_epsilon = 1e-5;
  bool final_norm = true;
  bool embedding_norm = false;

  PositionKind position = PositionKind::kRotary;
  std::int64_t position_offset = 0;  // rows to skip in a learned table (OPT: 2)

  QkvOrder qkv = QkvOrder::kSeparate;
  bool qkv_bias = false;
  bool attention_output_bias = false;
  bool ffn_bias = false;
  bool head_bias = false;
  double attention_scale = 1;  // multiplies q·k
  // Scores s become cap · tanh(s / cap); 0: they stay as they are (Gemma 2).
  double attention_softcap = 0;
  double logit_softcap = 0;   // the same of logits
  double logit_scale = 1;     // multiplies logits, before the cap (Granite)
  double residual_scale = 1;  // multiplies what a block's parts add to the hidden states (Granite)

  Activation activation = Activation::kGelu;
  MixtureConfig mixture;
  bool gated = false;               // f(x Wg) * (x Wu) instead of f(x W1)
  bool fused_gate_up = false;       // Wg and Wu are one matrix, gate rows first
  bool transposed_linears = false;  // weights stored [in, out] (GPT-2's Conv1D)

  bool tied_head = false;
  double embedding_scale = 1;  // Gemma: sqrt(d)
  std::int64_t embedding_width =
      0;  // differs from hidden where embeddings are projected (OPT 350m)

  std::vector<std::int64_t> end_of_sequence;  // from config.json; may be empty
  std::string dtype;                          // torch_dtype, may be empty

  std::int64_t expert_width() const { return ffn_width / mixture.experts; }
  const LayerConfig& layer(std::int64_t l) const {
    return each_layer.at(static_cast<std::size_t>(l));
  }
};

// Reads config.json. Throws Error naming the file and the key for a missing key or a wrong type,
// and naming the value for a model_type or an option that is not supported: a model is never run
// wrongly.
ModelConfig read_model_config(const std::filesystem::path& config_json);
// The same from a text in memory; where: what errors call it.
ModelConfig parse_model_config(std::string_view config_json, const std::string& where);

// The model_type values that read_model_config accepts.
std::vector<std::string> supported_model_types();

}  // namespace taskneuron

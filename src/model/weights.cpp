#include "model/weights.h"

#include <fmt/format.h>
#include <unistd.h>

#include "base/torch_compat.h"
#include "taskneuron/base/compute.h"
#include "taskneuron/base/error.h"
#include "taskneuron/checkpoint/weight_names.h"

namespace taskneuron {

namespace {

class Loader {
 public:
  Loader(const Checkpoint& checkpoint, const DecoderOptions& options)
      : checkpoint_(checkpoint),
        config_(checkpoint.config()),
        names_(weight_names(config_.model_type)),
        options_(options),
        prefix_(find_prefix()),
        convert_now_(converts_once(checkpoint, options.dtype)),
        packs_(packs_weights(checkpoint, options)) {}

  DecoderWeights load() const;

 private:
  std::string find_prefix() const;
  at::Tensor prepared(at::Tensor tensor, bool convert) const;
  Linear linear(const std::string& module, std::int64_t out, std::int64_t in, bool bias) const;
  Norm norm(const std::string& module) const;
  AttentionWeights attention(const std::string& layer) const;
  FeedForwardWeights feed_forward(const std::string& layer) const;
  Linear head(const at::Tensor& embedding) const;

  const Checkpoint& checkpoint_;
  const ModelConfig& config_;
  const WeightNames& names_;
  const DecoderOptions& options_;
  std::string prefix_;
  bool convert_now_;
  bool packs_;
};

std::string Loader::find_prefix() const {
  for (const std::string& prefix : names_.prefixes) {
    if (checkpoint_.contains(prefix + names_.embedding + ".weight")) return prefix;
  }
  return names_.prefixes.front();  // the missing tensor will be named
}

at::Tensor Loader::prepared(at::Tensor tensor, bool convert) const {
  if (convert && tensor.scalar_type() != options_.dtype) tensor = tensor.to(options_.dtype);
  return tensor.to(options_.device);
}

Linear Loader::linear(const std::string& module, std::int64_t out, std::int64_t in,
                      bool bias) const {
  Linear result;
  if (config_.transposed_linears) {
    result.weight = prepared(checkpoint_.tensor(module + ".weight", {in, out}), convert_now_).t();
  } else {
    result.weight = prepared(checkpoint_.tensor(module + ".weight", {out, in}), convert_now_);
  }
  if (bias) result.bias = prepared(checkpoint_.tensor(module + ".bias", {out}), true);
  if (packs_) result.packed = std::make_shared<PackedWeights>();
  result.name = module;
  return result;
}

Norm Loader::norm(const std::string& module) const {
  Norm result;
  result.weight = prepared(checkpoint_.tensor(module + ".weight", {config_.hidden}), true);
  if (config_.norm == NormKind::kLayerNorm) {
    result.bias = prepared(checkpoint_.tensor(module + ".bias", {config_.hidden}), true);
  }
  result.name = module;
  return result;
}

AttentionWeights Loader::attention(const std::string& layer) const {
  const std::int64_t query_width = config_.heads * config_.head_dim;
  const std::int64_t key_width = config_.kv_heads * config_.head_dim;
  AttentionWeights result;
  if (config_.qkv == QkvLayout::kSeparate) {
    result.query = linear(layer + names_.query, query_width, config_.hidden, config_.qkv_bias);
    result.key = linear(layer + names_.key, key_width, config_.hidden, config_.qkv_bias);
    result.value = linear(layer + names_.value, key_width, config_.hidden, config_.qkv_bias);
  } else {
    result.query_key_value = linear(layer + names_.query_key_value, query_width + 2 * key_width,
                                    config_.hidden, config_.qkv_bias);
  }
  result.output = linear(layer + names_.attention_output, config_.hidden, query_width,
                         config_.attention_output_bias);
  return result;
}

FeedForwardWeights Loader::feed_forward(const std::string& layer) const {
  const std::int64_t width = config_.ffn_width;
  FeedForwardWeights result;
  if (config_.fused_gate_up) {
    const Linear both = linear(layer + names_.gate_up, 2 * width, config_.hidden, config_.ffn_bias);
    TN_CHECK(!both.bias.defined());
    result.gate.weight = both.weight.narrow(0, 0, width);
    result.up.weight = both.weight.narrow(0, width, width);
    result.gate.name = result.up.name = both.name;
    result.up.first_output = width;
    if (packs_) {
      result.gate.packed = std::make_shared<PackedWeights>();
      result.up.packed = std::make_shared<PackedWeights>();
    }
  } else {
    if (config_.gated) {
      result.gate = linear(layer + names_.gate, width, config_.hidden, config_.ffn_bias);
    }
    result.up = linear(layer + names_.up, width, config_.hidden, config_.ffn_bias);
  }
  result.down = linear(layer + names_.down, config_.hidden, width, config_.ffn_bias);
  return result;
}

Linear Loader::head(const at::Tensor& embedding) const {
  // Some checkpoints store the head although it is tied; then it equals the embedding.
  const bool stored = checkpoint_.contains(names_.head + ".weight");
  if (config_.tied_head || !stored) {
    if (!config_.tied_head) {
      throw Error(
          fmt::format("{}: tensor '{}.weight' is missing and config.json does not tie it "
                      "to the embedding",
                      checkpoint_.folder().string(), names_.head));
    }
    Linear tied;
    tied.weight = prepared(embedding, convert_now_);
    tied.name = prefix_ + names_.embedding;
    if (packs_) tied.packed = std::make_shared<PackedWeights>();
    return tied;
  }
  Linear result;
  result.name = names_.head;
  result.weight = prepared(
      checkpoint_.tensor(names_.head + ".weight", {config_.vocabulary, config_.embedding_width}),
      convert_now_);
  if (config_.head_bias) {
    result.bias = prepared(checkpoint_.tensor(names_.head + ".bias", {config_.vocabulary}), true);
  }
  if (packs_) result.packed = std::make_shared<PackedWeights>();
  return result;
}

DecoderWeights Loader::load() const {
  DecoderWeights weights;
  weights.embedding_name = prefix_ + names_.embedding + ".weight";
  weights.position_name = prefix_ + names_.position + ".weight";
  weights.embedding = prepared(checkpoint_.tensor(prefix_ + names_.embedding + ".weight",
                                                  {config_.vocabulary, config_.embedding_width}),
                               false);
  if (config_.position == PositionKind::kLearned) {
    weights.position = prepared(
        checkpoint_.tensor(prefix_ + names_.position + ".weight",
                           {config_.max_positions + config_.position_offset, config_.hidden}),
        false);
  }
  if (config_.embedding_norm) weights.embedding_norm = norm(prefix_ + names_.embedding_norm);
  if (config_.embedding_width != config_.hidden) {
    weights.project_in =
        linear(prefix_ + names_.project_in, config_.hidden, config_.embedding_width, false);
    weights.project_out =
        linear(prefix_ + names_.project_out, config_.embedding_width, config_.hidden, false);
  }
  if (config_.final_norm) weights.final_norm = norm(prefix_ + names_.final_norm);
  weights.head = head(weights.embedding);
  for (std::int64_t l = 0; l < config_.layers; ++l) {
    const std::string layer = fmt::format("{}{}.{}.", prefix_, names_.layers, l);
    LayerWeights& target = weights.layers.emplace_back();
    target.attention_norm = norm(layer + names_.attention_norm);
    if (config_.block != BlockKind::kParallelShared)
      target.ffn_norm = norm(layer + names_.ffn_norm);
    target.attention = attention(layer);
    target.ffn = feed_forward(layer);
  }
  return weights;
}

}  // namespace

double physical_memory() {
  return static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGESIZE));
}

bool converts_once(const Checkpoint& checkpoint, at::ScalarType dtype) {
  const double growth = dtype == at::kFloat ? 2 : 1;
  return static_cast<double>(checkpoint.tensor_bytes()) * growth < physical_memory() / 3;
}

bool packs_weights(const Checkpoint& checkpoint, const DecoderOptions& options) {
  // float32 gains nothing from it (docs/performance.md).
  return options.device.is_cpu() && options.dtype == at::kBFloat16 &&
         has_fast_bfloat16(options.device) &&
         2 * static_cast<double>(checkpoint.parameters()) * 2 < physical_memory() / 8;
}

DecoderWeights load_weights(const Checkpoint& checkpoint, const DecoderOptions& options) {
  return Loader(checkpoint, options).load();
}

}  // namespace taskneuron

#include "model/weights.h"

#include <fmt/format.h>
#include <unistd.h>

#include <optional>

#include "base/torch_compat.h"
#include "base/world.h"
#include "model/modules.h"
#include "model/qkv_layout.h"
#include "taskneuron/base/compute.h"
#include "taskneuron/base/error.h"
#include "taskneuron/checkpoint/weight_names.h"

namespace taskneuron {

namespace {

// A matrix as the checkpoint holds it; of a fused one, the rows that are the module's.
struct LinearSpec {
  std::string name;
  std::int64_t out = 0;
  std::int64_t in = 0;
  bool bias = false;
  std::int64_t first_output = 0;
  std::int64_t stored_outputs = out;
};

struct NormSpec {
  std::string name;
  std::int64_t width = 0;
  bool bias = false;
};

class Loader {
 public:
  Loader(const Checkpoint& checkpoint, const DecoderOptions& options)
      : checkpoint_(checkpoint),
        config_(checkpoint.config()),
        names_(weight_names(config_)),
        options_(options),
        prefix_(find_prefix()),
        convert_now_(converts_once(checkpoint, options.dtype)),
        packs_(packs_weights(checkpoint, options)) {}

  DecoderWeights load() const;
  // Weights stay in the dtype in which they lie: [layer][expert].
  std::vector<std::vector<FeedForwardWeights>> load_stored_feed_forward();

 private:
  std::string find_prefix() const;
  std::string layer_prefix(std::int64_t layer) const {
    return fmt::format("{}{}.{}.", prefix_, names_.layers, layer);
  }
  at::Tensor prepared(at::Tensor tensor, bool convert) const;
  // What the config says of a module; none where it says that there is no such module.
  std::optional<NormSpec> norm_spec(ModuleId id) const;
  std::optional<LinearSpec> linear_spec(ModuleId id) const;
  std::optional<LinearSpec> attention_spec(ModuleId id) const;
  std::optional<LinearSpec> feed_forward_spec(ModuleId id) const;
  void load(ModuleId id, Table& table) const;
  void load(ModuleId id, Norm& norm) const;
  void load(ModuleId id, Linear& linear) const;
  Linear tied_head(const Table& embedding) const;

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

std::optional<NormSpec> Loader::norm_spec(ModuleId id) const {
  const std::int64_t d = config_.hidden;
  const bool bias = config_.norm == NormKind::kLayerNorm;
  if (id.role == ModuleRole::kEmbeddingNorm) {
    if (!config_.embedding_norm) return {};
    return NormSpec{prefix_ + names_.embedding_norm, d, bias};
  }
  if (id.role == ModuleRole::kFinalNorm) {
    if (!config_.final_norm) return {};
    return NormSpec{prefix_ + names_.final_norm, d, bias};
  }
  const LayerConfig& layer = config_.layer(id.layer);
  const auto where = [&](bool there, const std::string& name, std::int64_t width) {
    return there ? std::optional(NormSpec{layer_prefix(id.layer) + name, width, bias})
                 : std::nullopt;
  };
  const auto of_heads = [&](const std::string& name, std::int64_t heads) {
    const std::string whole = layer_prefix(id.layer) + name;
    switch (layer.query_key_norm) {
      case QueryKeyNorm::kNone: break;
      case QueryKeyNorm::kPerHead: return NormSpec{whole, config_.head_dim, bias};
      case QueryKeyNorm::kAllHeads: return NormSpec{whole, heads * config_.head_dim, bias};
      case QueryKeyNorm::kEachHead:
        return NormSpec{fmt::format("{}.{}", whole, id.norm), config_.head_dim, false};
    }
    TN_CHECK(false);  // such layers have no query norms
  };
  switch (id.role) {
    case ModuleRole::kAttentionNorm: return where(layer.attention_norm, names_.attention_norm, d);
    case ModuleRole::kAttentionOutputNorm:
      return where(layer.attention_output_norm != OutputNorm::kNone, names_.attention_output_norm,
                   d);
    case ModuleRole::kFfnNorm: return where(layer.ffn_norm, names_.ffn_norm, d);
    case ModuleRole::kFfnOutputNorm:
      return where(layer.ffn_output_norm != OutputNorm::kNone, names_.ffn_output_norm, d);
    case ModuleRole::kQueryNorm: return of_heads(names_.query_norm, config_.heads);
    case ModuleRole::kKeyNorm: return of_heads(names_.key_norm, config_.kv_heads);
    default: TN_CHECK(false);
  }
}

std::optional<LinearSpec> Loader::attention_spec(ModuleId id) const {
  const QkvLayout layout(config_);
  const std::string layer = layer_prefix(id.layer);
  const std::int64_t d = config_.hidden;
  if (id.role == ModuleRole::kAttentionOutput) {
    return LinearSpec{layer + names_.attention_output, d, config_.heads * config_.head_dim,
                      config_.attention_output_bias};
  }
  if (layout.fused() != (id.role == ModuleRole::kQueryKeyValue)) return {};
  const auto projection = [&](const std::string& name, const HeadView& heads) {
    return LinearSpec{layer + name, heads.row, d, config_.qkv_bias};
  };
  switch (id.role) {
    case ModuleRole::kQueryKeyValue: return projection(names_.query_key_value, layout.queries);
    case ModuleRole::kQuery: return projection(names_.query, layout.queries);
    case ModuleRole::kKey: return projection(names_.key, layout.keys);
    case ModuleRole::kValue: return projection(names_.value, layout.values);
    default: TN_CHECK(false);
  }
}

std::optional<LinearSpec> Loader::feed_forward_spec(ModuleId id) const {
  std::string layer = layer_prefix(id.layer);
  const std::int64_t d = config_.hidden, width = config_.expert_width();
  if (id.role == ModuleRole::kRouter) {
    if (config_.mixture.experts == 1) return {};
    return LinearSpec{layer + names_.router, config_.mixture.experts, d};
  }
  if (id.expert >= 0) layer += fmt::format("{}.{}.", names_.experts, id.expert);
  const bool bias = config_.ffn_bias;
  switch (id.role) {
    case ModuleRole::kGate:
      if (!config_.gated) return {};
      if (config_.fused_gate_up)
        return LinearSpec{layer + names_.gate_up, width, d, bias, 0, 2 * width};
      return LinearSpec{layer + names_.gate, width, d, bias};
    case ModuleRole::kUp:
      if (config_.fused_gate_up)
        return LinearSpec{layer + names_.gate_up, width, d, bias, width, 2 * width};
      return LinearSpec{layer + names_.up, width, d, bias};
    case ModuleRole::kDown: return LinearSpec{layer + names_.down, d, width, bias};
    default: TN_CHECK(false);
  }
}

std::optional<LinearSpec> Loader::linear_spec(ModuleId id) const {
  const bool projects = config_.embedding_width != config_.hidden;
  switch (id.role) {
    case ModuleRole::kProjectIn:
      if (!projects) return {};
      return LinearSpec{prefix_ + names_.project_in, config_.hidden, config_.embedding_width};
    case ModuleRole::kProjectOut:
      if (!projects) return {};
      return LinearSpec{prefix_ + names_.project_out, config_.embedding_width, config_.hidden};
    case ModuleRole::kHead:
      return LinearSpec{names_.head, config_.vocabulary, config_.embedding_width,
                        config_.head_bias};
    case ModuleRole::kRouter:
    case ModuleRole::kGate:
    case ModuleRole::kUp:
    case ModuleRole::kDown: return feed_forward_spec(id);
    default: return attention_spec(id);
  }
}

void Loader::load(ModuleId id, Table& table) const {
  const bool positions = id.role == ModuleRole::kPosition;
  if (positions && config_.position != PositionKind::kLearned) return;
  table.name = prefix_ + (positions ? names_.position : names_.embedding);
  const std::int64_t rows =
      positions ? config_.max_positions + config_.position_offset : config_.vocabulary;
  const std::int64_t width = positions ? config_.hidden : config_.embedding_width;
  table.weight = prepared(checkpoint_.tensor(table.name + ".weight", {rows, width}), false);
}

void Loader::load(ModuleId id, Norm& norm) const {
  const std::optional<NormSpec> found = norm_spec(id);
  if (!found) return;
  norm.name = found->name;
  norm.weight = prepared(checkpoint_.tensor(norm.name + ".weight", {found->width}), true);
  if (found->bias) {
    norm.bias = prepared(checkpoint_.tensor(norm.name + ".bias", {found->width}), true);
  }
}

void Loader::load(ModuleId id, Linear& linear) const {
  const std::optional<LinearSpec> found = linear_spec(id);
  if (!found) return;
  const bool head = id.role == ModuleRole::kHead;
  if (head && !checkpoint_.contains(found->name + ".weight")) {
    throw Error(
        fmt::format("{}: tensor '{}.weight' is missing and config.json does not tie it "
                    "to the embedding",
                    checkpoint_.folder().string(), found->name));
  }
  linear.name = found->name;
  linear.first_output = found->first_output;
  linear.transposed = config_.transposed_linears && !head;
  const std::int64_t outputs = found->stored_outputs;
  const at::Tensor stored = checkpoint_.tensor(
      linear.name + ".weight",
      linear.transposed ? std::vector{found->in, outputs} : std::vector{outputs, found->in});
  const int axis = linear.transposed ? 1 : 0;
  linear.weight = prepared(stored.narrow(axis, linear.first_output, found->out), convert_now_);
  if (linear.transposed) linear.weight = linear.weight.t();
  if (found->bias) {
    const at::Tensor bias = checkpoint_.tensor(linear.name + ".bias", {outputs});
    linear.bias = prepared(bias.narrow(0, linear.first_output, found->out), true);
  }
  if (packs_) linear.packed = std::make_shared<PackedWeights>();
}

// Some checkpoints store the head although it is tied; then it equals the embedding.
Linear Loader::tied_head(const Table& embedding) const {
  Linear tied;
  tied.weight = prepared(embedding.weight, convert_now_);
  tied.name = embedding.name;
  if (packs_) tied.packed = std::make_shared<PackedWeights>();
  return tied;
}

DecoderWeights Loader::load() const {
  DecoderWeights weights;
  weights.tied_head = config_.tied_head;
  weights.layers.resize(static_cast<std::size_t>(config_.layers));
  for (std::size_t l = 0; l < weights.layers.size(); ++l) {
    LayerWeights& layer = weights.layers[l];
    layer.experts.resize(static_cast<std::size_t>(config_.mixture.experts));
    const QueryKeyNorm norms = config_.each_layer[l].query_key_norm;
    if (norms == QueryKeyNorm::kNone) continue;
    const bool each = norms == QueryKeyNorm::kEachHead;
    layer.attention.query_norms.resize(each ? static_cast<std::size_t>(config_.heads) : 1);
    layer.attention.key_norms.resize(each ? static_cast<std::size_t>(config_.kv_heads) : 1);
  }
  for_each_module(weights, [&](ModuleId id, auto& module) { load(id, module); });
  if (weights.tied_head) weights.head = tied_head(weights.embedding);
  return weights;
}

std::vector<std::vector<FeedForwardWeights>> Loader::load_stored_feed_forward() {
  convert_now_ = packs_ = false;
  const std::int64_t experts = config_.mixture.experts;
  std::vector<std::vector<FeedForwardWeights>> layers;
  for (std::int64_t l = 0; l < config_.layers; ++l) {
    std::vector<FeedForwardWeights>& layer = layers.emplace_back();
    for (std::int64_t e = 0; e < experts; ++e) {
      const std::int64_t id = experts > 1 ? e : -1;
      FeedForwardWeights& expert = layer.emplace_back();
      load({ModuleRole::kGate, l, id}, expert.gate);
      load({ModuleRole::kUp, l, id}, expert.up);
      load({ModuleRole::kDown, l, id}, expert.down);
    }
  }
  return layers;
}

double physical_memory() {
  return static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGESIZE)) /
         static_cast<double>(world().place().local_size);
}

}  // namespace

bool converts_once(const Checkpoint& checkpoint, at::ScalarType dtype) {
  const double growth = dtype == at::kFloat ? 2 : 1;
  return static_cast<double>(checkpoint.tensor_bytes()) * growth < physical_memory() / 3;
}

bool packs_weights(const Checkpoint& checkpoint, const DecoderOptions& options) {
  // float32 gains nothing from it (docs/performance.md).
  return has_onednn() && options.device.is_cpu() && options.dtype == at::kBFloat16 &&
         has_fast_bfloat16(options.device) &&
         2 * static_cast<double>(checkpoint.parameters()) * 2 < physical_memory() / 8;
}

Linear& FeedForwardWeights::holding(OwnedPart part) {
  switch (part) {
    case OwnedPart::kGateOutputs: return gate;
    case OwnedPart::kUpOutputs: return up;
    case OwnedPart::kDownOutputs:
    case OwnedPart::kDownInputs: return down;
  }
  TN_CHECK(false);
}

UnitRange expert_units(const ModelConfig& config, std::size_t expert) {
  const std::int64_t width = config.expert_width();
  return {static_cast<std::int64_t>(expert) * width, width};
}

std::vector<std::vector<FeedForwardWeights>> stored_feed_forward(const Checkpoint& checkpoint) {
  const DecoderOptions options;
  return Loader(checkpoint, options).load_stored_feed_forward();
}

at::Tensor part_weights(const std::vector<FeedForwardWeights>& experts, OwnedPart part) {
  std::vector<at::Tensor> parts;
  for (FeedForwardWeights handles : experts) {
    const at::Tensor weight = handles.holding(part).weight;
    if (!weight.defined()) return {};
    parts.push_back(part == OwnedPart::kDownInputs ? weight.t() : weight);
  }
  // A unit of `out` owns its row of every expert's W2.
  return parts.size() == 1 ? parts[0] : at::cat(parts, part == OwnedPart::kDownOutputs ? 1 : 0);
}

DecoderWeights load_weights(const Checkpoint& checkpoint, const DecoderOptions& options) {
  return Loader(checkpoint, options).load();
}

}  // namespace taskneuron

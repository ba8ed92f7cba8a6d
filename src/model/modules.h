#pragma once

#include <cstdint>
#include <string>

#include "model/weights.h"

namespace taskneuron {

enum class ModuleRole {
  kEmbedding,
  kPosition,
  kEmbeddingNorm,
  kProjectIn,
  kAttentionNorm,
  kAttentionOutputNorm,
  kFfnNorm,
  kFfnOutputNorm,
  kQueryNorm,
  kKeyNorm,
  kQueryKeyValue,
  kQuery,
  kKey,
  kValue,
  kAttentionOutput,
  kRouter,
  kGate,
  kUp,
  kDown,
  kFinalNorm,
  kProjectOut,
  kHead,
};

struct ModuleId {
  ModuleRole role = ModuleRole::kEmbedding;
  std::int64_t layer = -1;   // -1: of the model as a whole
  std::int64_t expert = -1;  // -1: not one of a mixture's experts
  std::int64_t norm = 0;     // which of a layer's query norms, or key norms
};

// Calls f(ModuleId, module) for the place of every Table, Norm and Linear that a decoder can have,
// in the order in which a token meets them; where this model has none, the module's weight is
// undefined. A tied head is the embedding and has no turn of its own. Gate comes before up: that is
// how a fused matrix holds them. Loading, training everything, named_weights() and through it the
// freeze certificate go over the modules here and nowhere else.
template <typename Weights, typename Function>
void for_each_module(Weights& weights, Function&& f) {
  using Role = ModuleRole;
  f(ModuleId{Role::kEmbedding}, weights.embedding);
  f(ModuleId{Role::kPosition}, weights.position);
  f(ModuleId{Role::kEmbeddingNorm}, weights.embedding_norm);
  f(ModuleId{Role::kProjectIn}, weights.project_in);
  for (std::size_t l = 0; l < weights.layers.size(); ++l) {
    auto& layer = weights.layers[l];
    const auto visit = [&](Role role, auto& module) {
      f(ModuleId{role, static_cast<std::int64_t>(l)}, module);
    };
    visit(Role::kAttentionNorm, layer.attention_norm);
    visit(Role::kAttentionOutputNorm, layer.attention_output_norm);
    visit(Role::kFfnNorm, layer.ffn_norm);
    visit(Role::kFfnOutputNorm, layer.ffn_output_norm);
    const auto visit_heads = [&](Role role, auto& norms) {
      for (std::size_t n = 0; n < norms.size(); ++n) {
        f(ModuleId{role, static_cast<std::int64_t>(l), -1, static_cast<std::int64_t>(n)}, norms[n]);
      }
    };
    visit_heads(Role::kQueryNorm, layer.attention.query_norms);
    visit_heads(Role::kKeyNorm, layer.attention.key_norms);
    visit(Role::kQueryKeyValue, layer.attention.query_key_value);
    visit(Role::kQuery, layer.attention.query);
    visit(Role::kKey, layer.attention.key);
    visit(Role::kValue, layer.attention.value);
    visit(Role::kAttentionOutput, layer.attention.output);
    visit(Role::kRouter, layer.router);
    const bool mixture = layer.experts.size() > 1;
    for (std::size_t e = 0; e < layer.experts.size(); ++e) {
      const auto visit_expert = [&](Role role, auto& module) {
        f(ModuleId{role, static_cast<std::int64_t>(l), mixture ? static_cast<std::int64_t>(e) : -1},
          module);
      };
      visit_expert(Role::kGate, layer.experts[e].gate);
      visit_expert(Role::kUp, layer.experts[e].up);
      visit_expert(Role::kDown, layer.experts[e].down);
    }
  }
  f(ModuleId{Role::kFinalNorm}, weights.final_norm);
  f(ModuleId{Role::kProjectOut}, weights.project_out);
  if (!weights.tied_head) f(ModuleId{Role::kHead}, weights.head);
}

// Calls f(name in the checkpoint, tensor as it lies there) for every weight and bias that the
// decoder multiplies. A fused matrix comes in parts, by rows.
template <typename Function>
void for_each_tensor(const DecoderWeights& weights, Function&& f) {
  for_each_module(weights, [&](ModuleId, const auto& module) {
    if (!module.weight.defined()) return;
    f(module.name + ".weight", stored_weight(module));
    if constexpr (requires { module.bias; }) {
      if (module.bias.defined()) f(module.name + ".bias", module.bias);
    }
  });
}

// Throws Error naming a tensor of the checkpoint that no module of the model holds and that is not
// known to be a buffer (checkpoint/weight_names.h): what such a checkpoint means is more than what
// runs here, and nothing could certify that training leaves it as it is.
void require_known_tensors(const Checkpoint& checkpoint, const DecoderWeights& weights);
// The same for one tensor that no module holds.
void require_buffer(const Checkpoint& checkpoint, const std::string& tensor);

}  // namespace taskneuron

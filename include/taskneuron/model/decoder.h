#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "taskneuron/checkpoint/checkpoint.h"
#include "taskneuron/model/batch.h"
#include "taskneuron/model/key_value_cache.h"
#include "taskneuron/model/neuron_hook.h"
#include "taskneuron/model/unit_parameters.h"

namespace taskneuron {

struct DecoderWeights;
struct BatchPlan;
struct Norm;
// What every layer needs to know of a batch (rotations, masks, row ranges), worked out once.
using BatchPlanPtr = std::shared_ptr<const BatchPlan>;

struct DecoderOptions {
  at::ScalarType dtype = at::kFloat;  // of activations; sums and losses are float32 or better
  at::Device device = at::kCPU;
};

// "auto", "float32" or "bfloat16" for a checkpoint on a device: auto is bfloat16 where the
// checkpoint is stored in 16 bits and the device multiplies bfloat16 fast. Throws UsageError for
// another name.
at::ScalarType choose_dtype(const std::string& name, const Checkpoint& checkpoint,
                            at::Device device);

// A frozen language model of any supported family, driven by its ModelConfig. Weights are views of
// the mapped checkpoint where its dtype is the compute dtype. Immutable: one Decoder may serve
// several threads, each with its own hook and cache.
//
// Tensors called x are hidden states [rows, d], rows as in the batch (after the last layer: only
// the rows that need logits).
class Decoder {
 public:
  // Throws Error for a missing tensor or a wrong shape.
  Decoder(const Checkpoint& checkpoint, const DecoderOptions& options);
  ~Decoder();
  Decoder(Decoder&&) noexcept;

  const ModelConfig& config() const { return *config_; }
  const DecoderOptions& options() const { return options_; }

  // The steps of a forward pass, for those who need to enter or leave in the middle. Graphs share
  // what they read of plan, config and weights: batch and Decoder may go before the backward pass;
  // the hook may not. Throws Error for an id outside the vocabulary or a position beyond a learned
  // table.
  BatchPlanPtr plan(const Batch& batch) const;
  at::Tensor embed(const BatchPlan& plan) const;
  // Block l. cache may be null when no segment uses one.
  at::Tensor layer(std::int64_t l, at::Tensor x, const BatchPlanPtr& plan, NeuronHook& hook,
                   KeyValueCache* cache = nullptr) const;
  // What follows the last block, up to the features that the head multiplies: [logit rows, width].
  at::Tensor finish(at::Tensor x) const;
  // All of it.
  at::Tensor features(const Batch& batch, NeuronHook& hook, KeyValueCache* cache = nullptr) const;
  // float32 [rows, V] of features.
  at::Tensor logits(const at::Tensor& features) const;

  // Negative log-likelihood in nats, float32 [targets], of the batch's targets.
  at::Tensor target_nll(const at::Tensor& features, const Batch& batch) const;
  // Σ weight · nll over the batch's targets, float32 scalar that can be differentiated with respect
  // to features; nll (if not null) receives what target_nll returns. Never holds all logits at
  // once.
  at::Tensor target_loss(const at::Tensor& features, const Batch& batch,
                         at::Tensor* nll = nullptr) const;

  // The same model with the parameters that some units own set to zero (model/unit_parameters.h);
  // everything else is shared. units: of the first layers, or of all.
  Decoder with_zeroed(const UnitsBySite& units) const;
  // The same model with other weights of the same shapes (model/weights.h).
  Decoder with_weights(std::shared_ptr<const DecoderWeights> weights) const;
  const DecoderWeights& weights() const { return *weights_; }

 private:
  Decoder(std::shared_ptr<const ModelConfig> config, DecoderOptions options,
          std::shared_ptr<const DecoderWeights> weights);

  // Hidden states as x + addend; the sum is formed by the norm that reads it. addend may be
  // undefined.
  struct Stream {
    at::Tensor x;
    at::Tensor addend;
  };
  at::Tensor sum_of(const Stream& stream) const;
  Stream layer_of(std::int64_t l, const Stream& stream, const BatchPlanPtr& plan, NeuronHook& hook,
                  KeyValueCache* cache) const;
  at::Tensor finish_stream(const Stream& stream) const;
  // One pass through a block.
  struct LayerPass {
    std::int64_t layer = 0;
    const BatchPlanPtr& plan;
    bool logit_rows_only = false;  // what follows the keys and values runs at those rows alone
    NeuronHook& hook;
    KeyValueCache* cache = nullptr;
  };
  at::Tensor normalized(const Norm& weights, const at::Tensor& x) const;
  // heads, [rows, heads * head_dim], become what they are after their norms.
  void norm_heads(QueryKeyNorm kind, const std::vector<Norm>& norms, at::Tensor& heads) const;
  // What the two parts of a block add to the hidden states: of what they read, x.
  at::Tensor added_part(const at::Tensor& part) const;
  at::Tensor attention(const LayerPass& pass, const at::Tensor& x) const;
  std::vector<at::Tensor> attention_projections(const LayerPass& pass, const at::Tensor& x) const;
  at::Tensor feed_forward(const LayerPass& pass, const at::Tensor& x) const;

  std::shared_ptr<const ModelConfig> config_;
  DecoderOptions options_;
  std::shared_ptr<const DecoderWeights> weights_;
};

}  // namespace taskneuron

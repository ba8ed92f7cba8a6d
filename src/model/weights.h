#pragma once

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "model/onednn_product.h"
#include "taskneuron/checkpoint/checkpoint.h"
#include "taskneuron/model/decoder.h"
#include "taskneuron/model/trainable.h"

namespace taskneuron {

// A weight in the layouts that products with x and with a gradient want.
struct PackedWeights {
  PackedMatrix forward;
  PackedMatrix backward;
};

// What of a matrix is trained. Gradients are formed of these alone.
struct LinearTraining {
  ParameterPtr outputs;  // rows of weight
  ParameterPtr inputs;   // columns of weight
  ParameterPtr bias;
  std::vector<AdapterPtr> adapters;
  // Whether backward passes form a gradient of anything here; frozen adapters get none.
  bool any() const { return outputs || inputs || bias || any_adapter(); }
  bool any_adapter() const {
    return std::any_of(adapters.begin(), adapters.end(),
                       [](const AdapterPtr& adapter) { return !adapter->frozen; });
  }
};

struct NormTraining {
  ParameterPtr weight;
  ParameterPtr bias;  // where the norm has one
};

// y = x weightᵀ + bias. weight: [out, in], possibly a transposed view; bias: [out] or undefined.
// A weight may have another dtype than x: then it is converted whenever it is used.
struct Linear {
  at::Tensor weight;
  at::Tensor bias;
  std::shared_ptr<PackedWeights> packed = nullptr;  // null: multiplied from `weight` as it is
  std::string name = {};                            // of the module that holds it in the checkpoint
  std::int64_t first_output = 0;  // of the stored matrix that `weight` begins with
  std::shared_ptr<const LinearTraining> training = nullptr;  // null: frozen
  bool transposed = false;  // whether the checkpoint holds it as [in, out]
};

// weight, bias: [width]; bias is undefined for RMS norms, and for layer norms without one.
struct Norm {
  at::Tensor weight;
  at::Tensor bias;
  std::string name = {};
  std::shared_ptr<const NormTraining> training = nullptr;
};

// One row per id or position, in the stored dtype.
struct Table {
  at::Tensor weight;  // undefined: the family has none
  std::string name = {};
  ParameterPtr training = nullptr;  // null: frozen
};

// What the checkpoint holds under the module's name and ".weight", or, of a fused matrix, the
// module's part of it.
inline at::Tensor stored_weight(const Linear& linear) {
  return linear.transposed ? linear.weight.t() : linear.weight;
}
inline const at::Tensor& stored_weight(const Norm& norm) { return norm.weight; }
inline const at::Tensor& stored_weight(const Table& table) { return table.weight; }

struct AttentionWeights {
  // None, one, or one of each head: LayerConfig::query_key_norm.
  std::vector<Norm> query_norms;
  std::vector<Norm> key_norms;
  Linear query_key_value;  // fused families; otherwise the three below
  Linear query;
  Linear key;
  Linear value;
  Linear output;
};

// A dense FFN, or one expert of a mixture.
struct FeedForwardWeights {
  Linear gate;  // gated families only
  Linear up;    // W1 where there is no gate
  Linear down;  // W2

  // The matrix that a part belongs to.
  Linear& holding(OwnedPart part);
};

// Which of the norms there are: LayerConfig.
struct LayerWeights {
  Norm attention_norm;
  Norm attention_output_norm;
  Norm ffn_norm;
  Norm ffn_output_norm;
  AttentionWeights attention;
  Linear router;                            // [experts, d]; mixtures only
  std::vector<FeedForwardWeights> experts;  // MixtureConfig::experts of them: one where it is dense
};

// The units of one of a layer's experts.
UnitRange expert_units(const ModelConfig& config, std::size_t expert);

// model/modules.h enumerates what these hold.
struct DecoderWeights {
  Table embedding;  // [V, embedding width]
  Table position;   // [positions + offset, d]; learned positions only
  Norm embedding_norm;
  Linear project_in;
  Linear project_out;
  Norm final_norm;
  Linear head;
  bool tied_head = false;  // the head is the embedding
  std::vector<LayerWeights> layers;
};

// Whether weights of another dtype are converted when they are loaded, and not at every use:
// faster, unless the converted copy would crowd out memory.
bool converts_once(const Checkpoint& checkpoint, at::ScalarType dtype);

// Whether weights are kept in oneDNN's layouts beside their own (twice their size): where that is
// faster, and small beside memory.
bool packs_weights(const Checkpoint& checkpoint, const DecoderOptions& options);

DecoderWeights load_weights(const Checkpoint& checkpoint, const DecoderOptions& options);

}  // namespace taskneuron

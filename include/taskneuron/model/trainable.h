#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "taskneuron/model/decoder.h"
#include "taskneuron/model/parameter.h"
#include "taskneuron/model/unit_parameters.h"

namespace taskneuron {

struct LoraOptions {
  std::int64_t rank = 8;
  double alpha = 32;  // what the adapter adds is multiplied by alpha / rank
  // query, key, value, attention-output, gate, up, down. Fused matrices are adapted in slices.
  std::set<std::string> targets = {"query", "value"};
  std::uint64_t seed = 0;
};

// Throws UsageError for a target that there is not.
void require_lora_targets(const std::set<std::string>& targets);

enum class TrainedPart {
  kUnits,        // what the units of a set own (method, "Sites")
  kFeedForward,  // every FFN matrix and bias
  kAll,          // every tensor
  kAdapters,     // LoRA: W + alpha/rank · B A, W frozen
};

// A low-rank addition to (some outputs of) a matrix: y[:, outputs] += scale · (x Aᵀ) Bᵀ. Adapters
// of one matrix add up.
struct Adapter {
  std::string tensor;             // the matrix that it belongs to
  bool transposed = false;        // whether that lies as [in, out]
  std::int64_t first_output = 0;  // of the stored matrix
  at::Tensor outputs;             // int64; undefined: all
  double scale = 1;
  // Whether it acts and passes gradients through, but gets none itself.
  bool frozen = false;
  // [rank, in]. Its `tensor` names the target: it is the same in all adapters of one target.
  ParameterPtr a;
  ParameterPtr b;  // [outputs, rank]
};
using AdapterPtr = std::shared_ptr<const Adapter>;

struct TrainableOptions {
  TrainedPart part = TrainedPart::kUnits;
  UnitsBySite units;  // kUnits; what they own: model/unit_parameters.h
  LoraOptions lora;
  // Of earlier models of this base, whatever is trained now: copies of them act, frozen.
  std::vector<AdapterPtr> earlier_adapters;
};

// Which part of a layer's FFN a parameter of a unit set is.
struct OwnedParameter {
  std::int64_t layer = 0;
  OwnedPart part = OwnedPart::kUpOutputs;
  // Whose matrix it is part of. Parameters count their units from the first of these, but those of
  // kDownOutputs, which are hidden dimensions.
  UnitRange expert;
  // Where the parameter's units begin among the layer's.
  std::int64_t first_unit() const { return part == OwnedPart::kDownOutputs ? 0 : expert.first; }
};

// A model some of whose weights can change: those are private copies, everything else is shared
// with the decoder it was made from. Its backward passes add to the parameters' gradients, and form
// no gradient of a frozen weight.
struct TrainableModel {
  Decoder decoder;
  std::vector<ParameterPtr> parameters;
  std::vector<OwnedParameter> owned;  // of each parameter; kUnits only
  std::vector<AdapterPtr> adapters;   // the frozen ones first
};

// Masters start from the checkpoint's own values. Throws Error when the model has nothing of what
// is asked for (an adapter target, units), when an earlier adapter fits none of its matrices, and
// naming a tensor of the checkpoint that no part of the model holds.
TrainableModel make_trainable(const Checkpoint& checkpoint, const Decoder& decoder,
                              const TrainableOptions& options);

// What training made of one stored tensor: value = its entries at `units` along `axis`.
struct TrainedTensor {
  std::string tensor;
  int axis = 0;
  at::Tensor units;  // int64, ascending
  at::Tensor value;  // masters; with adapters, frozen ones included: W0 + Σ scale · B A
};
// By tensor name; parts of one tensor (fused gate and up) are joined.
std::map<std::string, TrainedTensor> trained_tensors(const Checkpoint& checkpoint,
                                                     const TrainableModel& model);

// The positions in every parameter of `model` that belong to the units of `options` (kUnits), for
// Parameter::activate: one tensor per parameter, in their order.
// REQUIRES a model of kUnits whose units include these.
std::vector<at::Tensor> positions_of(const TrainableModel& model, const TrainableOptions& options);

}  // namespace taskneuron

#include "taskneuron/model/trainable.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "base/torch_compat.h"
#include "model/frozen_adapters.h"
#include "model/modules.h"
#include "model/qkv_layout.h"
#include "taskneuron/base/error.h"
#include "taskneuron/base/random.h"

namespace taskneuron {

namespace {

using Units = std::vector<std::int64_t>;

// Makes parts of a model's weights trainable, one after another.
class Builder {
 public:
  Builder(const Checkpoint& checkpoint, const Decoder& decoder)
      : checkpoint_(checkpoint),
        config_(decoder.config()),
        dtype_(decoder.options().dtype),
        weights_(std::make_shared<DecoderWeights>(decoder.weights())) {}

  void train_units(const TrainableOptions& options);
  void train_feed_forward();
  void train_all();
  void train_adapters(const LoraOptions& options);
  // Puts frozen copies of them under what is trained.
  void add_earlier(const std::vector<AdapterPtr>& adapters) {
    const std::vector<AdapterPtr> copies = add_frozen_adapters(*weights_, adapters, dtype_);
    adapters_.insert(adapters_.begin(), copies.begin(), copies.end());
  }

  TrainableModel finish(const Decoder& decoder) {
    if (parameters_.empty()) throw Error("nothing would be trained: no unit is chosen");
    return {decoder.with_weights(weights_), std::move(parameters_), std::move(owned_),
            std::move(adapters_)};
  }

 private:
  // The stored matrix as the decoder sees it, [out, in], in its own dtype.
  at::Tensor stored_matrix(const Linear& linear) const;
  void own_weight(Linear& linear) const;
  LinearTraining& training_of(Linear& linear) const;
  ParameterPtr add_parameter(Parameter parameter);
  Parameter described(const Linear& linear) const;
  void train_outputs(Linear& linear, const Units& units);
  void train_inputs(Linear& linear, const Units& units);
  // The whole of a module, where the model has it.
  void train(Linear& linear);
  void train(Norm& norm);
  void train(Table& table);
  void adapt(Linear& linear, const Units& outputs, const std::string& what,
             const LoraOptions& options);

  const Checkpoint& checkpoint_;
  const ModelConfig& config_;
  at::ScalarType dtype_;
  std::shared_ptr<DecoderWeights> weights_;
  std::vector<ParameterPtr> parameters_;
  std::vector<OwnedParameter> owned_;
  std::vector<AdapterPtr> adapters_;
};

at::Tensor Builder::stored_matrix(const Linear& linear) const {
  at::Tensor stored = checkpoint_.tensor(linear.name + ".weight");
  if (linear.transposed) stored = stored.t();
  return stored.narrow(0, linear.first_output, linear.weight.size(0));
}

// A private copy in the compute dtype, strides kept, without oneDNN's layout, which each step would
// have to make anew.
void Builder::own_weight(Linear& linear) const {
  if (linear.training != nullptr) return;
  linear.weight = linear.weight.to(dtype_, /*non_blocking=*/false, /*copy=*/true);
  linear.packed = nullptr;
}

LinearTraining& Builder::training_of(Linear& linear) const {
  if (linear.training == nullptr) linear.training = std::make_shared<LinearTraining>();
  // Shared as const with the decoder; this builder made it and is still at work on it.
  return const_cast<LinearTraining&>(*linear.training);
}

ParameterPtr Builder::add_parameter(Parameter parameter) {
  const at::Tensor& place = parameter.places.front();
  parameter.master = parameter.master
                         .to(place.device(), wide_type(place), /*non_blocking=*/false,
                             /*copy=*/true)
                         .contiguous();
  if (parameter.units.defined()) parameter.units = parameter.units.to(place.device());
  parameter.activate({});
  parameters_.push_back(std::make_shared<Parameter>(std::move(parameter)));
  return parameters_.back();
}

Parameter Builder::described(const Linear& linear) const {
  Parameter parameter;
  parameter.tensor = linear.name + ".weight";
  parameter.transposed = linear.transposed;
  parameter.first = linear.first_output;
  return parameter;
}

void Builder::train_outputs(Linear& linear, const Units& units) {
  own_weight(linear);
  const at::Tensor index = at::tensor(units, at::kLong);
  Parameter parameter = described(linear);
  parameter.axis = parameter.transposed ? 1 : 0;
  parameter.units = index;
  parameter.places = {linear.weight};
  parameter.master = stored_matrix(linear).index_select(0, index);
  training_of(linear).outputs = add_parameter(std::move(parameter));
  if (!linear.bias.defined()) return;
  linear.bias = linear.bias.to(dtype_, false, true);
  Parameter bias;
  bias.tensor = linear.name + ".bias";
  bias.first = linear.first_output;
  bias.units = index;
  bias.places = {linear.bias};
  bias.master = checkpoint_.tensor(bias.tensor).index_select(0, index);
  training_of(linear).bias = add_parameter(std::move(bias));
}

void Builder::train_inputs(Linear& linear, const Units& units) {
  own_weight(linear);
  Parameter parameter = described(linear);
  TN_CHECK(parameter.first == 0);
  parameter.axis = parameter.transposed ? 0 : 1;
  parameter.units = at::tensor(units, at::kLong);
  parameter.places = {linear.weight.t()};
  parameter.master = stored_matrix(linear).t().index_select(0, parameter.units);
  training_of(linear).inputs = add_parameter(std::move(parameter));
}

void Builder::train(Linear& linear) {
  if (!linear.weight.defined()) return;
  own_weight(linear);
  Parameter parameter = described(linear);
  parameter.places = {linear.weight};
  parameter.master = stored_matrix(linear);
  training_of(linear).outputs = add_parameter(std::move(parameter));
  if (!linear.bias.defined()) return;
  linear.bias = linear.bias.to(dtype_, false, true);
  Parameter bias;
  bias.tensor = linear.name + ".bias";
  bias.places = {linear.bias};
  bias.master = checkpoint_.tensor(bias.tensor);
  training_of(linear).bias = add_parameter(std::move(bias));
}

void Builder::train(Norm& norm) {
  if (!norm.weight.defined()) return;
  auto training = std::make_shared<NormTraining>();
  const auto train = [&](at::Tensor& weight, const std::string& name) {
    weight = weight.to(dtype_, false, true);
    Parameter parameter;
    parameter.tensor = name;
    parameter.places = {weight};
    parameter.master = checkpoint_.tensor(name);
    return add_parameter(std::move(parameter));
  };
  training->weight = train(norm.weight, norm.name + ".weight");
  if (norm.bias.defined()) training->bias = train(norm.bias, norm.name + ".bias");
  norm.training = training;
}

void Builder::train(Table& table) {
  if (!table.weight.defined()) return;
  table.weight = table.weight.to(dtype_, false, true);
  Parameter parameter;
  parameter.tensor = table.name + ".weight";
  parameter.places = {table.weight};
  parameter.master = checkpoint_.tensor(parameter.tensor);
  table.training = add_parameter(std::move(parameter));
}

void Builder::train_units(const TrainableOptions& options) {
  for (std::size_t l = 0; l < weights_->layers.size(); ++l) {
    std::vector<FeedForwardWeights>& experts = weights_->layers[l].experts;
    for (std::size_t e = 0; e < experts.size(); ++e) {
      const UnitRange expert = expert_units(config_, e);
      for (const OwnedPart part : kOwnedParts) {
        const Units units = owned_units(options.units, l, part, expert);
        Linear& linear = experts[e].holding(part);
        if (units.empty() || !linear.weight.defined()) continue;
        const bool inputs = part == OwnedPart::kDownInputs;
        if (inputs) train_inputs(linear, units);
        if (!inputs) train_outputs(linear, units);
        owned_.resize(parameters_.size(), {static_cast<std::int64_t>(l), part, expert});
      }
    }
  }
}

void Builder::train_feed_forward() {
  for_each_module(*weights_, [&](ModuleId id, auto& module) {
    const auto role = id.role;
    if (role == ModuleRole::kGate || role == ModuleRole::kUp || role == ModuleRole::kDown) {
      train(module);
    }
  });
}

void Builder::train_all() {
  DecoderWeights& w = *weights_;
  for_each_module(w, [&](ModuleId, auto& module) { train(module); });
  if (!w.tied_head) return;
  w.head.weight = w.embedding.weight;
  w.head.packed = nullptr;
  training_of(w.head).outputs = w.embedding.training;
}

void Builder::adapt(Linear& linear, const Units& outputs, const std::string& what,
                    const LoraOptions& options) {
  const std::int64_t in = linear.weight.size(1);
  auto adapter = std::make_shared<Adapter>();
  adapter->tensor = linear.name + ".weight";
  adapter->transposed = linear.transposed;
  adapter->first_output = linear.first_output;
  adapter->scale = options.alpha / static_cast<double>(options.rank);
  std::int64_t out = linear.weight.size(0);
  if (!outputs.empty()) {
    adapter->outputs = at::tensor(outputs, at::kLong).to(linear.weight.device());
    out = static_cast<std::int64_t>(outputs.size());
  }
  const at::TensorOptions compute = linear.weight.options().dtype(dtype_);
  const auto matrix = [&](const char* part, std::int64_t rows, std::int64_t columns) {
    Parameter parameter;
    parameter.tensor = linear.name + "." + what + "." + part;
    parameter.places = {at::zeros({rows, columns}, compute)};
    parameter.master = at::zeros({rows, columns}, at::kFloat);
    return add_parameter(std::move(parameter));
  };
  adapter->a = matrix("lora_A", options.rank, in);
  adapter->b = matrix("lora_B", out, options.rank);
  // As torch.nn.Linear starts its weights; B starts at zero, so that nothing changes at first.
  Random random(options.seed, adapter->a->tensor);
  const double bound = 1 / std::sqrt(static_cast<double>(in));
  at::Tensor start = at::empty({options.rank, in}, at::kFloat);
  for (std::int64_t i = 0; i < start.numel(); ++i) {
    start.data_ptr<float>()[i] = static_cast<float>((2 * random.uniform() - 1) * bound);
  }
  adapter->a->master.copy_(start);
  adapter->a->store();
  training_of(linear).adapters.push_back(adapter);
  adapters_.push_back(adapter);
}

constexpr const char* kTargets[] = {"query", "key", "value", "attention-output",
                                    "gate",  "up",  "down"};

void Builder::train_adapters(const LoraOptions& options) {
  require_lora_targets(options.targets);
  if (options.targets.count("gate") != 0 && !config_.gated) {
    throw Error("LoRA target 'gate': the FFN of this model has no gate");
  }
  const auto wants = [&](const char* target) { return options.targets.count(target) != 0; };
  const QkvLayout layout(config_);
  const HeadView* views[] = {&layout.queries, &layout.keys, &layout.values};
  for (LayerWeights& layer : weights_->layers) {
    AttentionWeights& attention = layer.attention;
    const bool fused = attention.query_key_value.weight.defined();
    Linear* parts[] = {&attention.query, &attention.key, &attention.value};
    for (int part = 0; part < 3; ++part) {
      if (!wants(kTargets[part])) continue;
      if (fused) {
        adapt(attention.query_key_value, views[part]->outputs(), kTargets[part], options);
      } else {
        adapt(*parts[part], {}, kTargets[part], options);
      }
    }
    if (wants("attention-output")) adapt(attention.output, {}, "attention-output", options);
    for (FeedForwardWeights& expert : layer.experts) {
      if (wants("gate")) adapt(expert.gate, {}, "gate", options);
      if (wants("up")) adapt(expert.up, {}, "up", options);
      if (wants("down")) adapt(expert.down, {}, "down", options);
    }
  }
}

}  // namespace

void require_lora_targets(const std::set<std::string>& targets) {
  for (const std::string& target : targets) {
    if (std::find(std::begin(kTargets), std::end(kTargets), target) != std::end(kTargets)) continue;
    throw UsageError("lora_targets", target, fmt::format("{}", fmt::join(kTargets, ", ")));
  }
}

TrainableModel make_trainable(const Checkpoint& checkpoint, const Decoder& decoder,
                              const TrainableOptions& options) {
  require_known_tensors(checkpoint, decoder.weights());
  Builder builder(checkpoint, decoder);
  switch (options.part) {
    case TrainedPart::kUnits: builder.train_units(options); break;
    case TrainedPart::kFeedForward: builder.train_feed_forward(); break;
    case TrainedPart::kAll: builder.train_all(); break;
    case TrainedPart::kAdapters: builder.train_adapters(options.lora); break;
  }
  builder.add_earlier(options.earlier_adapters);
  return builder.finish(decoder);
}

std::vector<at::Tensor> positions_of(const TrainableModel& model, const TrainableOptions& options) {
  TN_CHECK(model.owned.size() == model.parameters.size());
  std::vector<at::Tensor> positions;
  for (std::size_t p = 0; p < model.parameters.size(); ++p) {
    const at::Tensor& all = model.parameters[p]->units;
    const OwnedParameter& owned = model.owned[p];
    const Units units =
        owned_units(options.units, static_cast<std::size_t>(owned.layer), owned.part, owned.expert);
    const at::Tensor wanted = at::tensor(units, at::kLong).to(all.device());
    positions.push_back(at::searchsorted(all, wanted));
    TN_CHECK(at::equal(all.index_select(0, positions.back()), wanted));
  }
  return positions;
}

}  // namespace taskneuron

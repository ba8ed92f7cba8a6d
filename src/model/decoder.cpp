#include "taskneuron/model/decoder.h"

#include <fmt/format.h>

#include "base/torch_compat.h"
#include "model/attention.h"
#include "model/batch_plan.h"
#include "model/feed_forward.h"
#include "model/loss.h"
#include "model/operations.h"
#include "model/weights.h"
#include "taskneuron/base/compute.h"
#include "taskneuron/base/error.h"

namespace taskneuron {

at::ScalarType choose_dtype(const std::string& name, const Checkpoint& checkpoint,
                            at::Device device) {
  if (name == "float32") return at::kFloat;
  if (name == "bfloat16") return at::kBFloat16;
  if (name != "auto") {
    throw UsageError("dtype", name, "auto, float32 or bfloat16");
  }
  const bool sixteen_bits = checkpoint.tensor_bytes() < 3 * checkpoint.parameters();
  return sixteen_bits && has_fast_bfloat16(device) ? at::kBFloat16 : at::kFloat;
}

namespace {

// Rows of a table, which add their gradient to the table's where it is trained.
at::Tensor trained_rows(const at::Tensor& rows, const at::Tensor& ids,
                        const ParameterPtr& training) {
  if (!training || !at::GradMode::is_enabled()) return rows;
  const at::Tensor start = rows.detach().requires_grad_();
  start.register_hook([training, ids](const at::Tensor& gradient) {
    training->gradient.index_add_(0, ids, gradient.to(training->gradient.scalar_type()));
    return gradient;
  });
  return start;
}

}  // namespace

Decoder::Decoder(const Checkpoint& checkpoint, const DecoderOptions& options)
    : config_(std::make_shared<const ModelConfig>(checkpoint.config())),
      options_(options),
      weights_(std::make_shared<const DecoderWeights>(load_weights(checkpoint, options))) {}

Decoder::Decoder(std::shared_ptr<const ModelConfig> config, DecoderOptions options,
                 std::shared_ptr<const DecoderWeights> weights)
    : config_(std::move(config)), options_(options), weights_(std::move(weights)) {}

Decoder::~Decoder() = default;
Decoder::Decoder(Decoder&&) noexcept = default;

BatchPlanPtr Decoder::plan(const Batch& batch) const { return make_plan(batch, config_, options_); }

at::Tensor Decoder::embed(const BatchPlan& plan) const {
  at::Tensor x = trained_rows(weights_->embedding.index_select(0, plan.ids).to(options_.dtype),
                              plan.ids, weights_->embedding_training);
  // Gemma rounds its factor to the compute dtype before it multiplies.
  if (config_->embedding_scale != 1) {
    x = x * at::scalar_tensor(config_->embedding_scale, at::kFloat).to(options_.dtype);
  }
  if (weights_->project_in.weight.defined()) x = linear(x, weights_->project_in);
  if (config_->position == PositionKind::kLearned) {
    const at::Tensor rows = plan.positions + config_->position_offset;
    x = x + trained_rows(weights_->position.index_select(0, rows).to(options_.dtype), rows,
                         weights_->position_training);
  }
  if (config_->embedding_norm) {
    x = normalize(x, weights_->embedding_norm, config_->norm, config_->norm_epsilon);
  }
  return x;
}

at::Tensor Decoder::sum_of(const Stream& stream) const {
  return stream.addend.defined() ? stream.x + stream.addend : stream.x;
}

at::Tensor Decoder::layer(std::int64_t l, at::Tensor x, const BatchPlanPtr& plan, NeuronHook& hook,
                          KeyValueCache* cache) const {
  return sum_of(layer_of(l, {std::move(x), at::Tensor()}, plan, hook, cache));
}

Decoder::Stream Decoder::layer_of(std::int64_t l, const Stream& stream, const BatchPlanPtr& plan,
                                  NeuronHook& hook, KeyValueCache* cache) const {
  const LayerWeights& w = weights_->layers[static_cast<std::size_t>(l)];
  const auto norm = [&](const Norm& weights, const at::Tensor& input) {
    return normalize(input, weights, config_->norm, config_->norm_epsilon);
  };
  const auto add_norm = [&](const Norm& weights, const at::Tensor& input,
                            const at::Tensor& addend) {
    return add_and_normalize(input, addend, weights, config_->norm, config_->norm_epsilon);
  };
  const bool last = l + 1 == config_->layers;
  // Nothing reads the other rows after the last layer's keys and values.
  const bool narrow = last && !plan->every_row_has_logits && !hook.wants_all_rows();
  const auto rows = [&](const at::Tensor& input) {
    return narrow ? input.index_select(0, plan->logit_rows) : input;
  };

  Stream result;
  if (config_->block == BlockKind::kPostNorm) {
    const at::Tensor x = sum_of(stream);
    const at::Tensor attended = attention(l, x, plan, narrow, cache);
    result.x = add_norm(w.attention_norm, rows(x), attended).normalized;
    result.x =
        add_norm(w.ffn_norm, result.x, feed_forward(l, result.x, plan, narrow, hook)).normalized;
  } else {
    const Residual first = add_norm(w.attention_norm, stream.x, stream.addend);
    const at::Tensor attended = attention(l, first.normalized, plan, narrow, cache);
    const at::Tensor x = rows(first.sum);
    if (config_->block == BlockKind::kSequential) {
      const Residual second = add_norm(w.ffn_norm, x, attended);
      result = {second.sum, feed_forward(l, second.normalized, plan, narrow, hook)};
    } else if (config_->block == BlockKind::kParallel) {
      result = {x + attended, feed_forward(l, norm(w.ffn_norm, x), plan, narrow, hook)};
    } else {
      result = {x + attended, feed_forward(l, rows(first.normalized), plan, narrow, hook)};
    }
  }
  if (last && !narrow && !plan->every_row_has_logits) {
    return {sum_of(result).index_select(0, plan->logit_rows), at::Tensor()};
  }
  return result;
}

at::Tensor Decoder::attention(std::int64_t l, const at::Tensor& x, const BatchPlanPtr& plan,
                              bool logit_rows_only, KeyValueCache* cache) const {
  const AttentionWeights& w = weights_->layers[static_cast<std::size_t>(l)].attention;
  AttentionInput input;
  input.config = config_.get();
  input.logit_rows_only = logit_rows_only;
  input.layer = l;
  input.cache = cache;
  if (config_->qkv != QkvLayout::kSeparate) {
    input.projections = {linear(x, w.query_key_value)};
  } else if (logit_rows_only) {
    const std::vector<at::Tensor> keys = linears(x, {&w.key, &w.value});
    input.projections = {linear(x.index_select(0, plan->logit_rows), w.query), keys[0], keys[1]};
  } else {
    input.projections = linears(x, {&w.query, &w.key, &w.value});
  }
  return linear(packed_attention(input, plan), w.output);
}

at::Tensor Decoder::feed_forward(std::int64_t l, const at::Tensor& x, const BatchPlanPtr& plan,
                                 bool logit_rows_only, NeuronHook& hook) const {
  const LayerWeights& w = weights_->layers[static_cast<std::size_t>(l)];
  return taskneuron::feed_forward(x, {w.ffn, config_->activation, l, plan, logit_rows_only, hook});
}

at::Tensor Decoder::finish(at::Tensor x) const { return finish_stream({std::move(x), {}}); }

at::Tensor Decoder::finish_stream(const Stream& stream) const {
  at::Tensor x = config_->final_norm
                     ? add_and_normalize(stream.x, stream.addend, weights_->final_norm,
                                         config_->norm, config_->norm_epsilon)
                           .normalized
                     : sum_of(stream);
  if (weights_->project_out.weight.defined()) x = linear(x, weights_->project_out);
  return x;
}

at::Tensor Decoder::features(const Batch& batch, NeuronHook& hook, KeyValueCache* cache) const {
  const BatchPlanPtr plan = this->plan(batch);
  Stream stream{embed(*plan), at::Tensor()};
  for (std::int64_t l = 0; l < config_->layers; ++l) {
    stream = layer_of(l, stream, plan, hook, cache);
  }
  return finish_stream(stream);
}

at::Tensor Decoder::logits(const at::Tensor& features) const {
  return linear(features, weights_->head).to(at::kFloat);
}

at::Tensor Decoder::target_nll(const at::Tensor& features, const Batch& batch) const {
  const at::NoGradGuard no_gradients;
  return taskneuron::target_loss(features.detach(), weights_->head, batch).nll;
}

at::Tensor Decoder::target_loss(const at::Tensor& features, const Batch& batch,
                                at::Tensor* nll) const {
  TargetLoss loss = taskneuron::target_loss(features, weights_->head, batch);
  if (nll != nullptr) *nll = loss.nll;
  return loss.total;
}

Decoder Decoder::with_zeroed(Site site, const std::vector<std::vector<std::int64_t>>& units) const {
  auto weights = std::make_shared<DecoderWeights>(*weights_);
  const auto zero_outputs = [](Linear& projection, const at::Tensor& index) {
    projection.weight = projection.weight.index_fill(0, index, 0);
    if (projection.packed) projection.packed = std::make_shared<PackedWeights>();
    if (projection.bias.defined()) projection.bias = projection.bias.index_fill(0, index, 0);
  };
  for (std::size_t l = 0; l < units.size(); ++l) {
    if (units[l].empty()) continue;
    const at::Tensor index = at::tensor(units[l], at::kLong).to(options_.device);
    FeedForwardWeights& ffn = weights->layers.at(l).ffn;
    if (site == Site::kAct || site == Site::kUp) zero_outputs(ffn.up, index);
    if (ffn.gate.weight.defined() && (site == Site::kAct || site == Site::kGate)) {
      zero_outputs(ffn.gate, index);
    }
    if (site == Site::kAct) {
      ffn.down.weight = ffn.down.weight.index_fill(1, index, 0);
      if (ffn.down.packed) ffn.down.packed = std::make_shared<PackedWeights>();
    }
    if (site == Site::kOut) zero_outputs(ffn.down, index);
  }
  return with_weights(std::move(weights));
}

Decoder Decoder::with_weights(std::shared_ptr<const DecoderWeights> weights) const {
  return Decoder(config_, options_, std::move(weights));
}

}  // namespace taskneuron

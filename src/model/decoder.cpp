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
  // Rows of a table in the compute dtype.
  const auto rows_of = [&](const Table& table, const at::Tensor& ids) {
    return trained_rows(table.weight.index_select(0, ids).to(options_.dtype), ids, table.training);
  };
  at::Tensor x = rows_of(weights_->embedding, plan.ids);
  // Gemma rounds its factor to the compute dtype before it multiplies.
  if (config_->embedding_scale != 1) {
    x = x * at::scalar_tensor(config_->embedding_scale, at::kFloat).to(options_.dtype);
  }
  if (weights_->project_in.weight.defined()) x = linear(x, weights_->project_in);
  if (config_->position == PositionKind::kLearned) {
    x = x + rows_of(weights_->position, plan.positions + config_->position_offset);
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
  const LayerConfig& c = config_->layer(l);
  const LayerWeights& w = weights_->layers[static_cast<std::size_t>(l)];
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
  const LayerPass pass{l, plan, narrow, hook, cache};

  // x, and what attention and then the FFN read of it.
  Residual read = c.attention_norm ? add_norm(w.attention_norm, stream.x, stream.addend)
                                   : add_only(stream.x, stream.addend);
  at::Tensor attended = attention(pass, read.normalized);
  at::Tensor x = rows(read.sum);
  Stream result;
  if (c.block == BlockKind::kParallel) {
    const at::Tensor ffn_input =
        c.ffn_norm ? add_norm(w.ffn_norm, x, {}).normalized : rows(read.normalized);
    result = {x + attended, feed_forward(pass, ffn_input)};
  } else {
    if (c.attention_output_norm == OutputNorm::kSum) {
      x = add_norm(w.attention_output_norm, x, attended).normalized;
      attended = at::Tensor();
    }
    read = c.ffn_norm ? add_norm(w.ffn_norm, x, attended) : add_only(x, attended);
    result = {read.sum, feed_forward(pass, read.normalized)};
    if (c.ffn_output_norm == OutputNorm::kSum) {
      result = {add_norm(w.ffn_output_norm, result.x, result.addend).normalized, at::Tensor()};
    }
  }
  if (last && !narrow && !plan->every_row_has_logits) {
    return {sum_of(result).index_select(0, plan->logit_rows), at::Tensor()};
  }
  return result;
}

at::Tensor Decoder::normalized(const Norm& weights, const at::Tensor& x) const {
  return normalize(x, weights, config_->norm, config_->norm_epsilon);
}

at::Tensor Decoder::added_part(const at::Tensor& part) const {
  return config_->residual_scale == 1 ? part : part * config_->residual_scale;
}

std::vector<at::Tensor> Decoder::attention_projections(const LayerPass& pass,
                                                       const at::Tensor& x) const {
  const AttentionWeights& w = weights_->layers[static_cast<std::size_t>(pass.layer)].attention;
  if (w.query_key_value.weight.defined()) return {linear(x, w.query_key_value)};
  if (!pass.logit_rows_only) return linears(x, {&w.query, &w.key, &w.value});
  const std::vector<at::Tensor> keys = linears(x, {&w.key, &w.value});
  return {linear(x.index_select(0, pass.plan->logit_rows), w.query), keys[0], keys[1]};
}

void Decoder::norm_heads(QueryKeyNorm kind, const std::vector<Norm>& norms,
                         at::Tensor& heads) const {
  const std::int64_t width = config_->head_dim;
  if (kind == QueryKeyNorm::kEachHead) {
    std::vector<at::Tensor> parts;
    for (std::size_t h = 0; h < norms.size(); ++h) {
      const at::Tensor one = heads.narrow(1, static_cast<std::int64_t>(h) * width, width);
      parts.push_back(normalized(norms[h], one));
    }
    heads = at::cat(parts, 1);
    return;
  }
  const bool per_head = kind == QueryKeyNorm::kPerHead;
  const at::Tensor rows = per_head ? heads.reshape({-1, width}) : heads;
  heads = normalized(norms[0], rows).view(heads.sizes());
}

at::Tensor Decoder::attention(const LayerPass& pass, const at::Tensor& x) const {
  const LayerConfig& layer = config_->layer(pass.layer);
  const LayerWeights& w = weights_->layers[static_cast<std::size_t>(pass.layer)];
  AttentionInput input(*config_);
  input.projections = attention_projections(pass, x);
  input.logit_rows_only = pass.logit_rows_only;
  input.layer = pass.layer;
  input.cache = pass.cache;
  if (layer.query_key_norm != QueryKeyNorm::kNone) {
    TN_CHECK(!input.layout.fused());  // no family norms what it fuses
    norm_heads(layer.query_key_norm, w.attention.query_norms, input.projections[0]);
    norm_heads(layer.query_key_norm, w.attention.key_norms, input.projections[1]);
  }
  const at::Tensor attended = linear(packed_attention(input, pass.plan), w.attention.output);
  if (layer.attention_output_norm != OutputNorm::kAdded) return added_part(attended);
  return added_part(normalized(w.attention_output_norm, attended));
}

at::Tensor Decoder::feed_forward(const LayerPass& pass, const at::Tensor& x) const {
  const LayerWeights& w = weights_->layers[static_cast<std::size_t>(pass.layer)];
  const at::Tensor added = taskneuron::feed_forward(
      x, {w, *config_, pass.layer, pass.plan, pass.logit_rows_only, pass.hook});
  if (config_->layer(pass.layer).ffn_output_norm != OutputNorm::kAdded) return added_part(added);
  return added_part(normalized(w.ffn_output_norm, added));
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
  at::Tensor result = linear(features, weights_->head).to(at::kFloat);
  const LogitShape shape = logit_shape(*config_);
  if (shape.plain()) return result;
  // Out of place: the product may be part of a graph.
  result = result * shape.scale;
  return shape.softcap > 0 ? at::tanh(result / shape.softcap) * shape.softcap : result;
}

at::Tensor Decoder::target_nll(const at::Tensor& features, const Batch& batch) const {
  const at::NoGradGuard no_gradients;
  return taskneuron::target_loss(features.detach(), weights_->head, logit_shape(*config_), batch)
      .nll;
}

at::Tensor Decoder::target_loss(const at::Tensor& features, const Batch& batch,
                                at::Tensor* nll) const {
  TargetLoss loss = taskneuron::target_loss(features, weights_->head, logit_shape(*config_), batch);
  if (nll != nullptr) *nll = loss.nll;
  return loss.total;
}

Decoder Decoder::with_zeroed(const UnitsBySite& units) const {
  auto weights = std::make_shared<DecoderWeights>(*weights_);
  const auto zero = [](Linear& linear, const at::Tensor& index, bool inputs) {
    linear.weight = linear.weight.index_fill(inputs ? 1 : 0, index, 0);
    if (linear.packed) linear.packed = std::make_shared<PackedWeights>();
    if (!inputs && linear.bias.defined()) linear.bias = linear.bias.index_fill(0, index, 0);
  };
  for (std::size_t l = 0; l < weights->layers.size(); ++l) {
    std::vector<FeedForwardWeights>& experts = weights->layers[l].experts;
    for (std::size_t e = 0; e < experts.size(); ++e) {
      for (const OwnedPart part : kOwnedParts) {
        const std::vector<std::int64_t> owned =
            owned_units(units, l, part, expert_units(*config_, e));
        Linear& linear = experts[e].holding(part);
        if (owned.empty() || !linear.weight.defined()) continue;
        zero(linear, at::tensor(owned, at::kLong).to(options_.device),
             part == OwnedPart::kDownInputs);
      }
    }
  }
  return with_weights(std::move(weights));
}

Decoder Decoder::with_weights(std::shared_ptr<const DecoderWeights> weights) const {
  return Decoder(config_, options_, std::move(weights));
}

}  // namespace taskneuron

#include "model/attention.h"

#include "base/torch_compat.h"
#include "model/fused_attention.h"
#include "model/held.h"
#include "model/kernels/dispatch.h"
#include "model/matrix_product.h"
#include "model/operations.h"
#include "model/single_query_attention.h"
#include "taskneuron/base/error.h"

namespace taskneuron {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::tensor_list;

namespace {

// Queries, keys and values apart, as LibTorch's operations and the cache want them.
struct Heads {
  at::Tensor queries;  // [query rows, heads, head_dim]
  at::Tensor keys;     // [T, kv_heads, head_dim]
  at::Tensor values;   // [T, kv_heads, head_dim]
};

// All keys (or values) that a segment sees: [kv_heads, keys, head_dim]. A segment that joins its
// cached sequence is in the cache already.
at::Tensor gather_keys(const at::Tensor& own, const at::Tensor& cached, const Segment& segment,
                       const SegmentPlan& plan) {
  if (segment.append_to_cache) return cached.transpose(0, 1);
  std::vector<at::Tensor> parts;
  if (cached.defined()) parts.push_back(cached);
  for (const KeyRange& range : plan.keys) {
    parts.push_back(own.narrow(0, range.begin, range.end - range.begin));
  }
  return (parts.size() == 1 ? parts[0] : at::cat(parts, 0)).transpose(0, 1);
}

// Adds a gradient [kv_heads, keys, head_dim] to the rows that the keys came from.
void scatter_keys(at::Tensor& target, const at::Tensor& gradient, const SegmentPlan& plan) {
  std::int64_t offset = gradient.size(1);
  for (auto range = plan.keys.rbegin(); range != plan.keys.rend(); ++range) {
    const std::int64_t count = range->end - range->begin;
    offset -= count;
    target.narrow(0, range->begin, count).add_(gradient.narrow(1, offset, count).transpose(0, 1));
  }
}

// [rows, heads, head_dim] -> [kv_heads, group·rows, head_dim]: the heads that share keys side by
// side.
at::Tensor group_heads(const at::Tensor& x, std::int64_t kv_heads) {
  const std::int64_t rows = x.size(0), group = x.size(1) / kv_heads;
  return x.reshape({rows, kv_heads, group, x.size(2)})
      .permute({1, 2, 0, 3})
      .reshape({kv_heads, group * rows, x.size(2)});
}

// The inverse: [kv_heads, group·rows, head_dim] -> [rows, heads, head_dim].
at::Tensor ungroup_heads(const at::Tensor& x, std::int64_t rows) {
  const std::int64_t group = x.size(1) / rows;
  return x.view({x.size(0), group, rows, x.size(2)})
      .permute({2, 0, 1, 3})
      .reshape({rows, x.size(0) * group, x.size(2)});
}

// softcap · tanh(scale · products / softcap) in the type of sums, or without the cap where it is 0;
// the products are not needed any more.
at::Tensor scaled_scores(const at::Tensor& products, double scale, double softcap) {
  const at::Tensor wide = products.to(wide_type(products)).mul_(scale);
  return softcap > 0 ? wide.div_(softcap).tanh_().mul_(softcap) : wide;
}

// softmax(scores + bias) for scaled scores [kv_heads, group·rows, keys], which are changed; as
// dtype.
at::Tensor softmax_of(const at::Tensor& scores, const at::Tensor& bias, const QueryRows& rows,
                      at::ScalarType dtype) {
  const std::int64_t kv_heads = scores.size(0), keys = scores.size(2);
  const std::int64_t group = scores.size(1) / rows.count;
  at::Tensor wide = scores.view({kv_heads, group, rows.count, keys});
  if (bias.defined()) {
    at::Tensor visible = bias.narrow(-2, rows.first_in_segment, rows.count);
    if (visible.dim() == 3) visible = visible.view({kv_heads, group, rows.count, keys});
    wide.add_(visible);
  }
  return at::softmax(wide, -1).view({kv_heads, group * rows.count, keys}).to(dtype);
}

struct PackedAttention : Function<PackedAttention> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& queries,
                            const at::Tensor& keys, const at::Tensor& values,
                            const AttentionInput* input, const BatchPlanPtr& plan);
  static tensor_list backward(AutogradContext* context, tensor_list gradients);
};

at::Tensor PackedAttention::forward(AutogradContext* context, const at::Tensor& queries,
                                    const at::Tensor& keys, const at::Tensor& values,
                                    const AttentionInput* input, const BatchPlanPtr& plan) {
  const double scale = input->config->attention_scale;
  const double softcap = input->config->attention_softcap;
  at::Tensor result = at::empty(queries.sizes(), queries.options());
  tensor_list saved = {queries, keys, values};
  for (std::size_t s = 0; s < plan->segments.size(); ++s) {
    const Segment& segment = plan->batch->segments[s];
    const SegmentPlan& segment_plan = plan->segments[s];
    const QueryRows rows = query_rows(segment, segment_plan, input->logit_rows_only);
    at::Tensor probabilities, cached_keys, cached_values;
    if (segment.cached >= 0) {
      cached_keys = input->cache->keys(segment.cached, input->layer);
      cached_values = input->cache->values(segment.cached, input->layer);
    }
    if (rows.count > 0) {
      const at::Tensor segment_keys = gather_keys(keys, cached_keys, segment, segment_plan);
      const at::Tensor segment_values = gather_keys(values, cached_values, segment, segment_plan);
      const at::Tensor segment_queries =
          group_heads(queries.narrow(0, rows.begin, rows.count), segment_keys.size(0));
      const at::Tensor products = batched_product(segment_queries, segment_keys.transpose(1, 2));
      probabilities =
          softmax_of(scaled_scores(products, scale, softcap),
                     plan->score_bias(segment_plan, input->layer), rows, queries.scalar_type());
      result.narrow(0, rows.begin, rows.count)
          .copy_(ungroup_heads(batched_product(probabilities, segment_values), rows.count));
    }
    saved.insert(saved.end(), {probabilities, cached_keys, cached_values});
  }
  const bool differentiated =
      queries.requires_grad() || keys.requires_grad() || values.requires_grad();
  if (differentiated) context->save_for_backward(std::move(saved));
  context->saved_data["plan"] = hold(plan);
  context->saved_data["logit_rows_only"] = input->logit_rows_only;
  context->saved_data["scale"] = scale;
  context->saved_data["softcap"] = softcap;
  return result.flatten(1);
}

tensor_list PackedAttention::backward(AutogradContext* context, tensor_list gradients) {
  const tensor_list saved = context->get_saved_variables();
  const at::Tensor &queries = saved[0], &keys = saved[1], &values = saved[2];
  const BatchPlanPtr plan = held<BatchPlan>(context->saved_data["plan"]);
  const bool logit_rows_only = context->saved_data["logit_rows_only"].toBool();
  const double scale = context->saved_data["scale"].toDouble();
  const double softcap = context->saved_data["softcap"].toDouble();
  const at::Tensor output_gradient = gradients[0].view(queries.sizes());
  at::Tensor dqueries = at::zeros_like(queries);
  at::Tensor dkeys = at::zeros(keys.sizes(), keys.options());
  at::Tensor dvalues = at::zeros(values.sizes(), values.options());
  for (std::size_t s = 0; s < plan->segments.size(); ++s) {
    const Segment& segment = plan->batch->segments[s];
    const SegmentPlan& segment_plan = plan->segments[s];
    const QueryRows rows = query_rows(segment, segment_plan, logit_rows_only);
    if (rows.count == 0) continue;
    const at::Tensor& probabilities = saved[3 + 3 * s];
    const at::Tensor segment_keys = gather_keys(keys, saved[4 + 3 * s], segment, segment_plan);
    const at::Tensor segment_values = gather_keys(values, saved[5 + 3 * s], segment, segment_plan);
    const at::Tensor segment_queries =
        group_heads(queries.narrow(0, rows.begin, rows.count), segment_keys.size(0));
    const at::Tensor doutput =
        group_heads(output_gradient.narrow(0, rows.begin, rows.count), segment_keys.size(0));
    scatter_keys(dvalues, batched_product(probabilities.transpose(1, 2), doutput), segment_plan);
    const at::Tensor wide = probabilities.to(wide_type(probabilities));
    const at::Tensor dprobabilities =
        batched_product(doutput, segment_values.transpose(1, 2)).to(wide_type(probabilities));
    at::Tensor dwide =
        at::_softmax_backward_data(dprobabilities, wide, -1, wide.scalar_type()).mul_(scale);
    if (softcap > 0) {
      const at::Tensor capped = scaled_scores(
          batched_product(segment_queries, segment_keys.transpose(1, 2)), scale, softcap);
      dwide.mul_(1 - capped.div_(softcap).square_());
    }
    const at::Tensor dscores = dwide.to(queries.scalar_type());
    dqueries.narrow(0, rows.begin, rows.count)
        .copy_(ungroup_heads(batched_product(dscores, segment_keys), rows.count));
    scatter_keys(dkeys, batched_product(dscores.transpose(1, 2), segment_queries), segment_plan);
  }
  return {dqueries, dkeys, dvalues, at::Tensor(), at::Tensor()};
}

// Before any rotation.
Heads heads_of(const AttentionInput& input, const BatchPlan& plan) {
  Heads heads = {input.layout.queries.of(input.projections),
                 input.layout.keys.of(input.projections),
                 input.layout.values.of(input.projections)};
  // A fused projection holds the queries of every row.
  if (input.layout.fused() && input.logit_rows_only) {
    heads.queries = heads.queries.index_select(0, plan.logit_rows);
  }
  return heads;
}

void rotate_heads(Heads& heads, const AttentionInput& input, const BatchPlan& plan) {
  const Rotation& rotation = plan.rotation(input.layer);
  if (!rotation.cosine.defined()) return;
  const auto query_rows = [&](const at::Tensor& t) {
    return input.logit_rows_only ? t.index_select(0, plan.logit_rows) : t;
  };
  heads.queries =
      rotate(heads.queries, query_rows(rotation.cosine), query_rows(rotation.sine), rotation.pairs);
  heads.keys = rotate(heads.keys, rotation.cosine, rotation.sine, rotation.pairs);
}

void append_to_cache(const AttentionInput& input, const BatchPlan& plan, const Heads& heads) {
  for (const Segment& segment : plan.batch->segments) {
    if (segment.cached < 0 || !segment.append_to_cache) continue;
    TN_CHECK(!heads.keys.requires_grad());
    input.cache->append(segment.cached, input.layer,
                        heads.keys.narrow(0, segment.begin, segment.tokens()),
                        heads.values.narrow(0, segment.begin, segment.tokens()));
  }
}

bool appends(const BatchPlan& plan) {
  for (const Segment& segment : plan.batch->segments) {
    if (segment.cached >= 0 && segment.append_to_cache) return true;
  }
  return false;
}

// Whether this is a step of decoding on the CPU: one query per segment, no gradient.
bool is_decoding_step(const at::Tensor& queries, const BatchPlan& plan) {
  const bool known = queries.scalar_type() == at::kFloat || queries.scalar_type() == at::kBFloat16;
  if (!queries.device().is_cpu() || !known || queries.requires_grad()) return false;
  for (const Segment& segment : plan.batch->segments) {
    if (segment.tokens() != 1 || segment.logit_rows != 1 || !segment.append_to_cache) return false;
  }
  return true;
}

at::Tensor decoding_step(const AttentionInput& input, const Heads& heads, const BatchPlan& plan) {
  const at::Tensor queries = heads.queries.contiguous();
  at::Tensor result = at::empty(queries.sizes(), queries.options());
  const auto segments = static_cast<std::int64_t>(plan.segments.size());
  at::parallel_for(0, segments, 1, [&](std::int64_t begin, std::int64_t end) {
    const at::NoGradGuard no_gradients;
    for (std::int64_t s = begin; s < end; ++s) {
      const Segment& segment = plan.batch->segments[static_cast<std::size_t>(s)];
      const at::Tensor& bias =
          plan.score_bias(plan.segments[static_cast<std::size_t>(s)], input.layer);
      attend_single_query({queries[s], input.cache->keys(segment.cached, input.layer),
                           input.cache->values(segment.cached, input.layer), bias,
                           input.config->attention_scale, input.config->attention_softcap,
                           result[s]});
    }
  });
  return result.flatten(1);
}

}  // namespace

at::Tensor packed_attention(const AttentionInput& input, const BatchPlanPtr& plan) {
  const bool fused = kernels::covers(input.projections[0]);
  if (fused && !appends(*plan)) return fused_attention(input, plan, /*rotated=*/false);
  Heads heads = heads_of(input, *plan);
  rotate_heads(heads, input, *plan);
  append_to_cache(input, *plan, heads);
  if (is_decoding_step(heads.queries, *plan)) return decoding_step(input, heads, *plan);
  if (fused) {
    AttentionInput rotated = input;
    rotated.layout = QkvLayout::separate(*input.config);
    rotated.projections = {heads.queries.flatten(1), heads.keys.flatten(1),
                           heads.values.flatten(1)};
    return fused_attention(rotated, plan, /*rotated=*/true);
  }
  return PackedAttention::apply(heads.queries, heads.keys, heads.values, &input, plan);
}

}  // namespace taskneuron

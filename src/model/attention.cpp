#include "model/attention.h"

#include "base/torch_compat.h"
#include "model/matrix_product.h"
#include "model/single_query_attention.h"
#include "taskneuron/base/error.h"

namespace taskneuron {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::tensor_list;

namespace {

// Query rows of one segment: where they stand in the query tensor and within the segment.
struct QueryRows {
  std::int64_t begin = 0;  // in the query tensor
  std::int64_t count = 0;
  std::int64_t first_in_segment = 0;
};

QueryRows query_rows(const Segment& segment, const SegmentPlan& plan, bool logit_rows_only) {
  if (!logit_rows_only) return {segment.begin, segment.tokens(), 0};
  return {plan.logit_begin, segment.logit_rows, segment.tokens() - segment.logit_rows};
}

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

// softmax(scale · scores + bias) for scores [kv_heads, group·rows, keys], in their dtype.
at::Tensor probabilities(const at::Tensor& scores, double scale, const at::Tensor& bias,
                         const QueryRows& rows) {
  const std::int64_t kv_heads = scores.size(0), keys = scores.size(2);
  const std::int64_t group = scores.size(1) / rows.count;
  at::Tensor wide =
      scores.to(wide_type(scores)).mul_(scale).view({kv_heads, group, rows.count, keys});
  if (bias.defined()) {
    at::Tensor visible = bias.narrow(-2, rows.first_in_segment, rows.count);
    if (visible.dim() == 3) visible = visible.view({kv_heads, group, rows.count, keys});
    wide.add_(visible);
  }
  return at::softmax(wide, -1).view({kv_heads, group * rows.count, keys}).to(scores.scalar_type());
}

struct PackedAttention : Function<PackedAttention> {
  // input's tensors come first, as autograd needs to see them.
  static at::Tensor forward(AutogradContext* context, const at::Tensor& queries,
                            const at::Tensor& keys, const at::Tensor& values,
                            const AttentionInput* input, const BatchPlanPtr& plan);
  static tensor_list backward(AutogradContext* context, tensor_list gradients);
};

at::Tensor PackedAttention::forward(AutogradContext* context, const at::Tensor& queries,
                                    const at::Tensor& keys, const at::Tensor& values,
                                    const AttentionInput* input, const BatchPlanPtr& plan) {
  at::Tensor result = at::empty(queries.sizes(), queries.options());
  tensor_list saved = {queries, keys, values};
  for (std::size_t s = 0; s < plan->segments.size(); ++s) {
    const Segment& segment = plan->batch->segments[s];
    const SegmentPlan& segment_plan = plan->segments[s];
    const QueryRows rows = query_rows(segment, segment_plan, input->logit_rows_only);
    at::Tensor chances, cached_keys, cached_values;
    if (segment.cached >= 0) {
      cached_keys = input->cache->keys(segment.cached, input->layer);
      cached_values = input->cache->values(segment.cached, input->layer);
    }
    if (rows.count > 0) {
      const at::Tensor seen = gather_keys(keys, cached_keys, segment, segment_plan);
      const at::Tensor content = gather_keys(values, cached_values, segment, segment_plan);
      const at::Tensor asked = group_heads(queries.narrow(0, rows.begin, rows.count), seen.size(0));
      chances = probabilities(batched_product(asked, seen.transpose(1, 2)), input->scale,
                              segment_plan.score_bias, rows);
      result.narrow(0, rows.begin, rows.count)
          .copy_(ungroup_heads(batched_product(chances, content), rows.count));
    }
    saved.insert(saved.end(), {chances, cached_keys, cached_values});
  }
  const bool differentiated =
      queries.requires_grad() || keys.requires_grad() || values.requires_grad();
  if (differentiated) context->save_for_backward(std::move(saved));
  context->saved_data["plan"] = hold_plan(plan);
  context->saved_data["logit_rows_only"] = input->logit_rows_only;
  context->saved_data["scale"] = input->scale;
  return result.flatten(1);
}

tensor_list PackedAttention::backward(AutogradContext* context, tensor_list gradients) {
  const tensor_list saved = context->get_saved_variables();
  const at::Tensor &queries = saved[0], &keys = saved[1], &values = saved[2];
  const BatchPlanPtr plan = held_plan(context->saved_data["plan"]);
  const bool logit_rows_only = context->saved_data["logit_rows_only"].toBool();
  const double scale = context->saved_data["scale"].toDouble();
  const at::Tensor output_gradient = gradients[0].view(queries.sizes());
  at::Tensor dqueries = at::zeros_like(queries);
  at::Tensor dkeys = at::zeros(keys.sizes(), keys.options());
  at::Tensor dvalues = at::zeros(values.sizes(), values.options());
  for (std::size_t s = 0; s < plan->segments.size(); ++s) {
    const Segment& segment = plan->batch->segments[s];
    const SegmentPlan& segment_plan = plan->segments[s];
    const QueryRows rows = query_rows(segment, segment_plan, logit_rows_only);
    if (rows.count == 0) continue;
    const at::Tensor& chances = saved[3 + 3 * s];
    const at::Tensor seen = gather_keys(keys, saved[4 + 3 * s], segment, segment_plan);
    const at::Tensor content = gather_keys(values, saved[5 + 3 * s], segment, segment_plan);
    const at::Tensor asked = group_heads(queries.narrow(0, rows.begin, rows.count), seen.size(0));
    const at::Tensor doutput =
        group_heads(output_gradient.narrow(0, rows.begin, rows.count), seen.size(0));
    scatter_keys(dvalues, batched_product(chances.transpose(1, 2), doutput), segment_plan);
    const at::Tensor wide = chances.to(wide_type(chances));
    const at::Tensor dchances =
        batched_product(doutput, content.transpose(1, 2)).to(wide_type(chances));
    const at::Tensor dscores = at::_softmax_backward_data(dchances, wide, -1, wide.scalar_type())
                                   .mul_(scale)
                                   .to(queries.scalar_type());
    dqueries.narrow(0, rows.begin, rows.count)
        .copy_(ungroup_heads(batched_product(dscores, seen), rows.count));
    scatter_keys(dkeys, batched_product(dscores.transpose(1, 2), asked), segment_plan);
  }
  return {dqueries, dkeys, dvalues, at::Tensor(), at::Tensor()};
}

// Whether this is a step of decoding on the CPU: one query per segment, no gradient.
bool is_decoding_step(const AttentionInput& input, const BatchPlan& plan) {
  const bool wide_enough =
      input.queries.scalar_type() == at::kFloat || input.queries.scalar_type() == at::kBFloat16;
  if (!input.queries.device().is_cpu() || !wide_enough || input.queries.requires_grad()) {
    return false;
  }
  for (const Segment& segment : plan.batch->segments) {
    if (segment.tokens() != 1 || segment.logit_rows != 1 || !segment.append_to_cache) return false;
  }
  return true;
}

at::Tensor decoding_step(const AttentionInput& input, const BatchPlan& plan) {
  const at::Tensor queries = input.queries.contiguous();
  at::Tensor result = at::empty(queries.sizes(), queries.options());
  const auto segments = static_cast<std::int64_t>(plan.segments.size());
  at::parallel_for(0, segments, 1, [&](std::int64_t begin, std::int64_t end) {
    const at::NoGradGuard no_gradients;
    for (std::int64_t s = begin; s < end; ++s) {
      const Segment& segment = plan.batch->segments[static_cast<std::size_t>(s)];
      const at::Tensor& bias = plan.segments[static_cast<std::size_t>(s)].score_bias;
      attend_single_query({queries[s], input.cache->keys(segment.cached, input.layer),
                           input.cache->values(segment.cached, input.layer), bias, input.scale,
                           result[s]});
    }
  });
  return result.flatten(1);
}

}  // namespace

at::Tensor packed_attention(const AttentionInput& input, const BatchPlanPtr& plan) {
  if (is_decoding_step(input, *plan)) return decoding_step(input, *plan);
  return PackedAttention::apply(input.queries, input.keys, input.values, &input, plan);
}

}  // namespace taskneuron

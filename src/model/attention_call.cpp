#include "model/attention_call.h"

#include <algorithm>

#include "model/kernels/dispatch.h"

namespace taskneuron {

namespace {

template <typename T>
kernels::KeyRun<T> cached_run(const at::Tensor& keys, const at::Tensor& values) {
  kernels::KeyRun<T> run;
  run.keys = kernels::data<T>(keys);
  run.values = kernels::data<T>(values);
  run.rows = keys.size(0);
  run.key_row = keys.stride(0);
  run.key_head = keys.stride(1);
  run.value_row = values.stride(0);
  run.value_head = values.stride(1);
  return run;
}

template <typename T>
kernels::KeyRun<T> packed_run(const AttentionCall& call, const KeyRange& range) {
  const HeadView &keys = call.views.keys, &values = call.views.values;
  kernels::KeyRun<T> run;
  run.keys =
      kernels::data<T>(call.projections[keys.projection]) + keys.offset + range.begin * keys.row;
  run.values = kernels::data<T>(call.projections[values.projection]) + values.offset +
               range.begin * values.row;
  run.rows = range.end - range.begin;
  run.key_row = keys.row;
  run.key_head = keys.head;
  run.value_row = values.row;
  run.value_head = values.head;
  run.rotation = rotation_of<T>(call, range.begin);
  run.accumulator_row = range.begin;
  return run;
}

std::int64_t key_count(const AttentionCall& call, std::size_t s) {
  std::int64_t count = call.cached_keys[s].defined() ? call.cached_keys[s].size(0) : 0;
  for (const KeyRange& range : call.plan->segments[s].keys) count += range.end - range.begin;
  return count;
}

}  // namespace

std::int64_t AttentionCall::query_count() const {
  return logit_rows_only ? plan->logit_rows.size(0) : plan->ids.size(0);
}

std::int64_t AttentionCall::query_row(std::size_t s) const {
  const QueryRows found = rows(s);
  return fused() ? segment(s).begin + found.first_in_segment : found.begin;
}

std::int64_t AttentionCall::most_keys() const {
  std::int64_t most = 0;
  for (std::size_t s = 0; s < segments(); ++s) most = std::max(most, key_count(*this, s));
  return most;
}

std::int64_t AttentionCall::longest() const {
  std::int64_t most = 0;
  for (std::size_t s = 0; s < segments(); ++s) most = std::max(most, segment(s).tokens());
  return most;
}

bool AttentionCall::segments_meet() const {
  const std::vector<Segment>& all = plan->batch->segments;
  return std::any_of(all.begin(), all.end(), [](const Segment& one) { return one.prefix >= 0; });
}

template <typename T>
kernels::Rotation<T> rotation_of(const AttentionCall& call, std::int64_t row) {
  if (!call.rotates) return {};
  const Rotation& angles = call.angles();
  const std::int64_t pairs = angles.cosine.size(-1);
  return {pairs, kernels::data<T>(angles.cosine) + row * pairs,
          kernels::data<T>(angles.sine) + row * pairs, angles.pairs == RotaryPairs::kNeighbours};
}

template <typename T>
SegmentArguments<T>::SegmentArguments(const AttentionCall& call, std::size_t s) {
  const Segment& segment = call.segment(s);
  const SegmentPlan& plan = call.plan->segments[s];
  const ModelConfig& config = *call.config;
  const QueryRows rows = call.rows(s);
  if (call.cached_keys[s].defined()) {
    runs.push_back(cached_run<T>(call.cached_keys[s], call.cached_values[s]));
  }
  // A segment that joins its cached sequence is in the cache already.
  if (!segment.append_to_cache) {
    for (const KeyRange& range : plan.keys) runs.push_back(packed_run<T>(call, range));
  }
  kernels::Attention<T>& a = attention;
  a.head_dim = config.head_dim;
  a.group = config.heads / config.kv_heads;
  a.scale = config.attention_scale;
  a.softcap = config.attention_softcap;
  a.queries = rows.count;
  a.visible = plan.past + rows.first_in_segment + 1;
  const HeadView& queries = call.views.queries;
  a.q = kernels::data<T>(call.projections[queries.projection]) + queries.offset +
        call.query_row(s) * queries.row;
  a.q_row = queries.row;
  a.q_head = queries.head;
  a.q_group = queries.group < queries.heads ? queries.group_stride : a.group * queries.head;
  a.rotation = rotation_of<T>(call, segment.begin + rows.first_in_segment);
  a.runs = runs.data();
  a.run_count = static_cast<std::int64_t>(runs.size());
  a.output_row = config.heads * config.head_dim;
  a.output_head = config.head_dim;
  const at::Tensor& bias = call.plan->score_bias(plan, call.layer);
  if (bias.defined()) {
    a.bias_row = bias.size(-1);
    a.bias_head = bias.dim() == 3 ? bias.stride(0) : 0;
    a.bias = bias.data_ptr<float>() + rows.first_in_segment * a.bias_row;
  }
}

template kernels::Rotation<float> rotation_of(const AttentionCall&, std::int64_t);
template kernels::Rotation<double> rotation_of(const AttentionCall&, std::int64_t);
template kernels::Rotation<kernels::Bfloat16> rotation_of(const AttentionCall&, std::int64_t);
template struct SegmentArguments<float>;
template struct SegmentArguments<double>;
template struct SegmentArguments<kernels::Bfloat16>;

}  // namespace taskneuron

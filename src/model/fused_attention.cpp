#include "model/fused_attention.h"

#include "base/torch_compat.h"
#include "model/held.h"
#include "model/kernels/dispatch.h"
#include "model/matrix_product.h"
#include "taskneuron/base/error.h"

namespace taskneuron {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::tensor_list;

QueryRows query_rows(const Segment& segment, const SegmentPlan& plan, bool logit_rows_only) {
  if (!logit_rows_only) return {segment.begin, segment.tokens(), 0};
  return {plan.logit_begin, segment.logit_rows, segment.tokens() - segment.logit_rows};
}

namespace {

// One call of fused_attention, as both directions need it.
struct Call {
  const ModelConfig* config;
  QkvLayout views;
  BatchPlanPtr plan = {};
  std::int64_t layer = 0;
  bool logit_rows_only = false;
  bool rotates = false;
  tensor_list projections = {};
  tensor_list cached_keys = {}, cached_values = {};  // by segment; undefined where there are none

  bool fused() const { return views.fused(); }
  const Rotation& rotation() const { return plan->rotation(layer); }
  std::int64_t query_count() const {
    return logit_rows_only ? plan->logit_rows.size(0) : plan->ids.size(0);
  }
  // Whether segments see keys of other segments, so that gradients of keys meet.
  bool segments_meet() const {
    for (const Segment& segment : plan->batch->segments) {
      if (segment.prefix >= 0) return true;
    }
    return false;
  }
};

// One segment of a call in the loops' terms. Borrows `runs`.
template <typename T>
kernels::Attention<T> arguments_of(const Call& call, std::size_t s,
                                   std::vector<kernels::KeyRun<T>>& runs) {
  const Segment& segment = call.plan->batch->segments[s];
  const SegmentPlan& plan = call.plan->segments[s];
  const ModelConfig& config = *call.config;
  const QueryRows rows = query_rows(segment, plan, call.logit_rows_only);
  const std::int64_t pairs = call.rotates ? call.rotation().cosine.size(-1) : 0;
  const T* cosine = call.rotates ? kernels::data<T>(call.rotation().cosine) : nullptr;
  const T* sine = call.rotates ? kernels::data<T>(call.rotation().sine) : nullptr;
  runs.clear();
  if (call.cached_keys[s].defined()) {
    kernels::KeyRun<T> run;
    run.keys = kernels::data<T>(call.cached_keys[s]);
    run.values = kernels::data<T>(call.cached_values[s]);
    run.rows = call.cached_keys[s].size(0);
    run.key_row = call.cached_keys[s].stride(0);
    run.key_head = call.cached_keys[s].stride(1);
    run.value_row = call.cached_values[s].stride(0);
    run.value_head = call.cached_values[s].stride(1);
    runs.push_back(run);
  }
  // A segment that joins its cached sequence is in the cache already.
  for (const KeyRange& range : segment.append_to_cache ? std::vector<KeyRange>{} : plan.keys) {
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
    if (call.rotates) {
      run.cosine = cosine + range.begin * pairs;
      run.sine = sine + range.begin * pairs;
    }
    run.accumulator_row = range.begin;
    runs.push_back(run);
  }
  kernels::Attention<T> a;
  a.head_dim = config.head_dim;
  a.pairs = pairs;
  a.group = config.heads / config.kv_heads;
  a.scale = config.attention_scale;
  a.queries = rows.count;
  a.visible = plan.past + rows.first_in_segment + 1;
  const HeadView& queries = call.views.queries;
  const std::int64_t in_segment = segment.begin + rows.first_in_segment;
  a.q = kernels::data<T>(call.projections[queries.projection]) + queries.offset +
        (call.fused() ? in_segment : rows.begin) * queries.row;
  a.q_row = queries.row;
  a.q_head = queries.head;
  if (call.rotates) {
    a.cosine = cosine + in_segment * pairs;
    a.sine = sine + in_segment * pairs;
  }
  a.runs = runs.data();
  a.run_count = static_cast<std::int64_t>(runs.size());
  const at::Tensor& bias = call.plan->score_bias(plan, call.layer);
  if (bias.defined()) {
    a.bias_row = bias.size(-1);
    a.bias_head = bias.dim() == 3 ? bias.stride(0) : 0;
    a.bias = bias.data_ptr<float>() + rows.first_in_segment * a.bias_row;
  }
  return a;
}

std::int64_t key_count(const Call& call, std::size_t s) {
  std::int64_t count = call.cached_keys[s].defined() ? call.cached_keys[s].size(0) : 0;
  for (const KeyRange& range : call.plan->segments[s].keys) count += range.end - range.begin;
  return count;
}

std::int64_t most_keys(const Call& call) {
  std::int64_t most = 0;
  for (std::size_t s = 0; s < call.plan->segments.size(); ++s) {
    most = std::max(most, key_count(call, s));
  }
  return most;
}

// output [query rows, heads·head_dim], log_sums [heads, query rows]. Tasks go segment by segment
// within a head: segments get longer within a batch, heads do not, so threads get equal shares.
template <typename T>
void run_forward(const Call& call, const at::Tensor& output, const at::Tensor& log_sums) {
  using A = kernels::Accumulator<T>;
  const ModelConfig& config = *call.config;
  const auto segments = static_cast<std::int64_t>(call.plan->segments.size());
  const std::int64_t scratch_size = kernels::attention_scratch(most_keys(call), config.head_dim);
  at::parallel_for(0, segments * config.kv_heads, 1, [&](std::int64_t begin, std::int64_t end) {
    const std::unique_ptr<A[]> scratch(new A[static_cast<std::size_t>(scratch_size)]);
    std::vector<kernels::KeyRun<T>> runs;
    for (std::int64_t task = begin; task < end; ++task) {
      const auto s = static_cast<std::size_t>(task % segments);
      const QueryRows rows =
          query_rows(call.plan->batch->segments[s], call.plan->segments[s], call.logit_rows_only);
      if (rows.count == 0) continue;
      kernels::Attention<T> a = arguments_of(call, s, runs);
      a.key_head = task / segments;
      a.scratch = scratch.get();
      a.output_row = config.heads * config.head_dim;
      a.output_head = config.head_dim;
      a.output = kernels::data<T>(output) + rows.begin * a.output_row;
      if (log_sums.defined()) {
        a.log_sum_head = log_sums.size(1);
        a.log_sum = kernels::data<A>(log_sums) + rows.begin;
      }
      kernels::table<T>().attention(a);
    }
  });
}

// Gradients of one segment's and one key head's task, or of all segments of a key head where
// segments share keys: then their sums must meet in one thread.
template <typename T>
void run_backward(const Call& call, const at::Tensor& doutput, const at::Tensor& log_sums,
                  const tensor_list& gradients) {
  using A = kernels::Accumulator<T>;
  const ModelConfig& config = *call.config;
  const std::int64_t kv_heads = config.kv_heads, width = kernels::padded(config.head_dim);
  const auto segments = static_cast<std::int64_t>(call.plan->segments.size());
  const bool together = call.segments_meet();
  std::int64_t longest = 0;
  for (const Segment& segment : call.plan->batch->segments) {
    longest = std::max(longest, segment.tokens());
  }
  const std::int64_t sums = (together ? call.plan->ids.size(0) : longest) * width;
  const std::int64_t scratch_size = kernels::attention_scratch(most_keys(call), config.head_dim);
  const HeadView &queries = call.views.queries, &keys = call.views.keys,
                 &values = call.views.values;

  const auto add_segment = [&](std::size_t s, std::int64_t head, std::int64_t first_row, A* scratch,
                               A* dkeys, A* dvalues, std::vector<kernels::KeyRun<T>>& runs) {
    const Segment& segment = call.plan->batch->segments[s];
    const QueryRows rows = query_rows(segment, call.plan->segments[s], call.logit_rows_only);
    if (rows.count == 0) return;
    kernels::Attention<T> a = arguments_of(call, s, runs);
    for (kernels::KeyRun<T>& run : runs) {
      if (run.accumulator_row >= 0) run.accumulator_row -= first_row;
    }
    a.key_head = head;
    a.scratch = scratch;
    a.output_row = config.heads * config.head_dim;
    a.output_head = config.head_dim;
    a.doutput = kernels::data<T>(doutput) + rows.begin * a.output_row;
    a.log_sum_head = log_sums.size(1);
    a.log_sum = kernels::data<A>(log_sums) + rows.begin;
    const std::int64_t query_row =
        call.fused() ? segment.begin + rows.first_in_segment : rows.begin;
    a.dq =
        kernels::data<T>(gradients[queries.projection]) + queries.offset + query_row * queries.row;
    a.dkeys = dkeys;
    a.dvalues = dvalues;
    kernels::table<T>().attention_backward(a);
  };
  const auto write_keys = [&](std::int64_t head, std::int64_t first, std::int64_t count,
                              const A* dkeys, const A* dvalues) {
    kernels::KeyGradients<T> g;
    g.head_dim = config.head_dim;
    g.rows = count;
    g.dkeys_sum = dkeys;
    g.dvalues_sum = dvalues;
    if (call.rotates) {
      g.pairs = call.rotation().cosine.size(-1);
      g.cosine = kernels::data<T>(call.rotation().cosine) + first * g.pairs;
      g.sine = kernels::data<T>(call.rotation().sine) + first * g.pairs;
    }
    g.key_row = keys.row;
    g.value_row = values.row;
    g.dkeys = kernels::data<T>(gradients[keys.projection]) + keys.offset + first * keys.row +
              head * keys.head;
    g.dvalues = kernels::data<T>(gradients[values.projection]) + values.offset +
                first * values.row + head * values.head;
    kernels::table<T>().key_gradients(g);
  };

  const std::int64_t tasks = together ? kv_heads : segments * kv_heads;
  at::parallel_for(0, tasks, 1, [&](std::int64_t begin, std::int64_t end) {
    const std::unique_ptr<A[]> space(new A[static_cast<std::size_t>(scratch_size + 2 * sums)]);
    A* dkeys = space.get() + scratch_size;
    A* dvalues = dkeys + sums;
    std::vector<kernels::KeyRun<T>> runs;
    for (std::int64_t task = begin; task < end; ++task) {
      std::fill(dkeys, dkeys + 2 * sums, A(0));
      if (together) {
        for (std::int64_t s = 0; s < segments; ++s) {
          add_segment(static_cast<std::size_t>(s), task, 0, space.get(), dkeys, dvalues, runs);
        }
        write_keys(task, 0, call.plan->ids.size(0), dkeys, dvalues);
      } else {
        const auto s = static_cast<std::size_t>(task % segments);
        const Segment& segment = call.plan->batch->segments[s];
        add_segment(s, task / segments, segment.begin, space.get(), dkeys, dvalues, runs);
        write_keys(task / segments, segment.begin, segment.tokens(), dkeys, dvalues);
      }
    }
  });
}

struct FusedAttention : Function<FusedAttention> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& first,
                            const OptionalTensor& second, const OptionalTensor& third,
                            const AttentionInput* input, const BatchPlanPtr& plan, bool rotated) {
    Call call{input->config, input->layout, plan, input->layer, input->logit_rows_only};
    call.rotates = !rotated && call.rotation().cosine.defined();
    call.projections = {first};
    if (second.has_value()) call.projections = {first, *second, *third};
    for (const Segment& segment : plan->batch->segments) {
      const bool cached = segment.cached >= 0;
      call.cached_keys.push_back(cached ? input->cache->keys(segment.cached, input->layer)
                                        : at::Tensor());
      call.cached_values.push_back(cached ? input->cache->values(segment.cached, input->layer)
                                          : at::Tensor());
    }
    bool differentiated = false;
    for (const at::Tensor& projection : call.projections) {
      differentiated = differentiated || projection.requires_grad();
    }
    const ModelConfig& config = *input->config;
    const at::Tensor output =
        empty_rows(call.query_count(), config.heads * config.head_dim, first.options());
    at::Tensor log_sums;
    if (differentiated) {
      log_sums =
          at::empty({config.heads, call.query_count()}, first.options().dtype(wide_type(first)));
    }
    kernels::for_type_of(first,
                         [&](auto zero) { run_forward<decltype(zero)>(call, output, log_sums); });
    if (!differentiated) return output;
    tensor_list saved = call.projections;
    saved.push_back(log_sums);
    saved.insert(saved.end(), call.cached_keys.begin(), call.cached_keys.end());
    saved.insert(saved.end(), call.cached_values.begin(), call.cached_values.end());
    context->save_for_backward(std::move(saved));
    context->saved_data["plan"] = hold(plan);
    context->saved_data["layer"] = call.layer;
    context->saved_data["logit_rows_only"] = call.logit_rows_only;
    context->saved_data["rotates"] = call.rotates;
    context->saved_data["fused"] = call.fused();
    return output;
  }

  static tensor_list backward(AutogradContext* context, tensor_list gradients) {
    const tensor_list saved = context->get_saved_variables();
    const BatchPlanPtr plan = held<BatchPlan>(context->saved_data["plan"]);
    const ModelConfig& config = *plan->config;
    const bool fused = context->saved_data["fused"].toBool();
    Call call{&config, fused ? QkvLayout(config) : QkvLayout::separate(config), plan,
              context->saved_data["layer"].toInt(),
              context->saved_data["logit_rows_only"].toBool()};
    call.rotates = context->saved_data["rotates"].toBool();
    const auto projections = static_cast<std::ptrdiff_t>(fused ? 1 : 3);
    const auto segments = static_cast<std::ptrdiff_t>(call.plan->segments.size());
    call.projections.assign(saved.begin(), saved.begin() + projections);
    const auto cached = saved.begin() + projections + 1;
    call.cached_keys.assign(cached, cached + segments);
    call.cached_values.assign(cached + segments, cached + 2 * segments);

    tensor_list results;
    for (const at::Tensor& projection : call.projections) {
      // Only where queries and keys share rows are there rows that no query writes.
      const bool gaps = fused && call.logit_rows_only;
      results.push_back(
          gaps ? at::zeros_like(projection)
               : empty_rows(projection.size(0), projection.size(1), projection.options()));
    }
    const at::Tensor doutput = gradients[0].contiguous();
    kernels::for_type_of(doutput, [&](auto zero) {
      run_backward<decltype(zero)>(call, doutput, saved[static_cast<std::size_t>(projections)],
                                   results);
    });
    results.resize(3);
    return {results[0], results[1], results[2], at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

at::Tensor fused_attention(const AttentionInput& input, const BatchPlanPtr& plan, bool rotated) {
  const auto contiguous = [&](std::size_t i) {
    return i < input.projections.size() ? OptionalTensor(input.projections[i].contiguous())
                                        : OptionalTensor();
  };
  return FusedAttention::apply(input.projections[0].contiguous(), contiguous(1), contiguous(2),
                               &input, plan, rotated);
}

}  // namespace taskneuron

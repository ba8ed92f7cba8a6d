#include "model/fused_attention.h"

#include <algorithm>

#include "base/torch_compat.h"
#include "model/attention_call.h"
#include "model/held.h"
#include "model/kernels/dispatch.h"
#include "model/matrix_product.h"

namespace taskneuron {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::tensor_list;

QueryRows query_rows(const Segment& segment, const SegmentPlan& plan, bool logit_rows_only) {
  if (!logit_rows_only) return {segment.begin, segment.tokens(), 0};
  return {plan.logit_begin, segment.logit_rows, segment.tokens() - segment.logit_rows};
}

namespace {

// What one thread does at a time: a key head over segments [first, last).
struct HeadTask {
  std::int64_t key_head;
  std::size_t first, last;
};

enum class Segments { kApart, kTogether };

// Calls body(task, scratch, sums) in threads; sums: room for sum_count accumulators. Tasks go
// segment by segment within a head: segments get longer within a batch, heads do not, so threads
// get equal shares.
template <typename T, typename Body>
void for_each_task(const AttentionCall& call, Segments segments, std::int64_t sum_count,
                   const Body& body) {
  using A = kernels::Accumulator<T>;
  const std::int64_t kv_heads = call.config->kv_heads;
  const auto count = static_cast<std::int64_t>(call.segments());
  const std::int64_t scratch_size =
      kernels::attention_scratch(call.most_keys(), call.config->head_dim);
  const bool together = segments == Segments::kTogether;
  at::parallel_for(0, together ? kv_heads : count * kv_heads, 1, [&](auto begin, auto end) {
    const std::unique_ptr<A[]> space(new A[static_cast<std::size_t>(scratch_size + sum_count)]);
    for (std::int64_t i = begin; i < end; ++i) {
      const auto s = static_cast<std::size_t>(i % count);
      const HeadTask task =
          together ? HeadTask{i, 0, call.segments()} : HeadTask{i / count, s, s + 1};
      body(task, space.get(), space.get() + scratch_size);
    }
  });
}

// output [query rows, heads·head_dim], log_sums [heads, query rows].
template <typename T>
void run_forward(const AttentionCall& call, const at::Tensor& output, const at::Tensor& log_sums) {
  using A = kernels::Accumulator<T>;
  for_each_task<T>(call, Segments::kApart, 0, [&](const HeadTask& task, A* scratch, A*) {
    const QueryRows rows = call.rows(task.first);
    if (rows.count == 0) return;
    SegmentArguments<T> arguments(call, task.first);
    kernels::Attention<T>& a = arguments.attention;
    a.key_head = task.key_head;
    a.scratch = scratch;
    a.output = kernels::data<T>(output) + rows.begin * a.output_row;
    if (log_sums.defined()) {
      a.log_sum_head = log_sums.size(1);
      a.log_sum = kernels::data<A>(log_sums) + rows.begin;
    }
    kernels::table<T>().attention(a);
  });
}

// The backward pass of a call: doutput as output, log_sums as run_forward left them, gradients as
// the call's projections.
template <typename T>
class Backward {
  using A = kernels::Accumulator<T>;

 public:
  Backward(const AttentionCall& call, at::Tensor doutput, at::Tensor log_sums,
           const tensor_list& gradients)
      : call_(call),
        doutput_(std::move(doutput)),
        log_sums_(std::move(log_sums)),
        gradients_(gradients) {}

  // One segment and one key head at a time, or all segments of a key head where segments share
  // keys: then their sums must meet in one thread.
  void run() const {
    const bool together = call_.segments_meet();
    const std::int64_t rows = together ? call_.plan->ids.size(0) : call_.longest();
    const std::int64_t count = rows * kernels::padded(call_.config->head_dim);
    for_each_task<T>(call_, together ? Segments::kTogether : Segments::kApart, 2 * count,
                     [&](const HeadTask& task, A* scratch, A* sums) {
                       std::fill(sums, sums + 2 * count, A(0));
                       const KeySums keys{sums, sums + count};
                       for (std::size_t s = task.first; s < task.last; ++s) {
                         add_segment(task, s, keys, scratch);
                       }
                       write_keys(task, keys);
                     });
  }

 private:
  // What a task's queries add to its keys and values, rows from its first segment's on.
  struct KeySums {
    A *dkeys, *dvalues;
  };

  T* gradient_of(const HeadView& view, std::int64_t row) const {
    return kernels::data<T>(gradients_[view.projection]) + view.offset + row * view.row;
  }

  void add_segment(const HeadTask& task, std::size_t s, const KeySums& sums, A* scratch) const {
    const QueryRows rows = call_.rows(s);
    if (rows.count == 0) return;
    SegmentArguments<T> arguments(call_, s);
    for (kernels::KeyRun<T>& run : arguments.runs) {
      if (run.accumulator_row >= 0) run.accumulator_row -= call_.segment(task.first).begin;
    }
    kernels::Attention<T>& a = arguments.attention;
    a.key_head = task.key_head;
    a.scratch = scratch;
    a.doutput = kernels::data<T>(doutput_) + rows.begin * a.output_row;
    a.log_sum_head = log_sums_.size(1);
    a.log_sum = kernels::data<A>(log_sums_) + rows.begin;
    a.dq = gradient_of(call_.views.queries, call_.query_row(s));
    a.dkeys = sums.dkeys;
    a.dvalues = sums.dvalues;
    kernels::table<T>().attention_backward(a);
  }

  void write_keys(const HeadTask& task, const KeySums& sums) const {
    const HeadView &keys = call_.views.keys, &values = call_.views.values;
    const std::int64_t first = call_.segment(task.first).begin;
    kernels::KeyGradients<T> g;
    g.head_dim = call_.config->head_dim;
    g.rows = call_.segment(task.last - 1).end - first;
    g.dkeys_sum = sums.dkeys;
    g.dvalues_sum = sums.dvalues;
    g.rotation = rotation_of<T>(call_, first);
    g.key_row = keys.row;
    g.value_row = values.row;
    g.dkeys = gradient_of(keys, first) + task.key_head * keys.head;
    g.dvalues = gradient_of(values, first) + task.key_head * values.head;
    kernels::table<T>().key_gradients(g);
  }

  const AttentionCall& call_;
  at::Tensor doutput_, log_sums_;
  const tensor_list& gradients_;
};

class FusedAttention : public Function<FusedAttention> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& first,
                            const OptionalTensor& second, const OptionalTensor& third,
                            const AttentionInput* input, const BatchPlanPtr& plan, bool rotated) {
    AttentionCall call{input->config, input->layout, plan, input->layer, input->logit_rows_only};
    call.rotates = !rotated && call.angles().cosine.defined();
    call.projections = {first};
    if (second.has_value()) call.projections = {first, *second, *third};
    for (const Segment& segment : plan->batch->segments) {
      const bool cached = segment.cached >= 0;
      call.cached_keys.push_back(cached ? input->cache->keys(segment.cached, input->layer)
                                        : at::Tensor());
      call.cached_values.push_back(cached ? input->cache->values(segment.cached, input->layer)
                                          : at::Tensor());
    }
    const bool differentiated =
        std::any_of(call.projections.begin(), call.projections.end(),
                    [](const at::Tensor& projection) { return projection.requires_grad(); });
    const ModelConfig& config = *call.config;
    const at::Tensor output =
        empty_rows(call.query_count(), config.heads * config.head_dim, first.options());
    at::Tensor log_sums;
    if (differentiated) {
      log_sums =
          at::empty({config.heads, call.query_count()}, first.options().dtype(wide_type(first)));
    }
    kernels::for_type_of(first,
                         [&](auto zero) { run_forward<decltype(zero)>(call, output, log_sums); });
    if (differentiated) save(*context, call, log_sums);
    return output;
  }

  static tensor_list backward(AutogradContext* context, tensor_list gradients) {
    at::Tensor log_sums;
    const AttentionCall call = restored(*context, log_sums);
    tensor_list results;
    for (const at::Tensor& projection : call.projections) {
      // Only where queries and keys share rows are there rows that no query writes.
      const bool gaps = call.fused() && call.logit_rows_only;
      results.push_back(
          gaps ? at::zeros_like(projection)
               : empty_rows(projection.size(0), projection.size(1), projection.options()));
    }
    const at::Tensor doutput = gradients[0].contiguous();
    kernels::for_type_of(doutput, [&](auto zero) {
      Backward<decltype(zero)>(call, doutput, log_sums, results).run();
    });
    results.resize(3);
    return {results[0], results[1], results[2], at::Tensor(), at::Tensor(), at::Tensor()};
  }

 private:
  // The call goes into the context: projections, log_sums and caches as tensors, the rest as data.
  static void save(AutogradContext& context, const AttentionCall& call,
                   const at::Tensor& log_sums) {
    tensor_list saved = call.projections;
    saved.push_back(log_sums);
    saved.insert(saved.end(), call.cached_keys.begin(), call.cached_keys.end());
    saved.insert(saved.end(), call.cached_values.begin(), call.cached_values.end());
    context.save_for_backward(std::move(saved));
    context.saved_data["plan"] = hold(call.plan);
    context.saved_data["layer"] = call.layer;
    context.saved_data["logit_rows_only"] = call.logit_rows_only;
    context.saved_data["rotates"] = call.rotates;
    context.saved_data["fused"] = call.fused();
  }

  static AttentionCall restored(AutogradContext& context, at::Tensor& log_sums) {
    const tensor_list saved = context.get_saved_variables();
    const BatchPlanPtr plan = held<BatchPlan>(context.saved_data["plan"]);
    const ModelConfig& config = *plan->config;
    const bool fused = context.saved_data["fused"].toBool();
    AttentionCall call{&config, fused ? QkvLayout(config) : QkvLayout::separate(config), plan,
                       context.saved_data["layer"].toInt(),
                       context.saved_data["logit_rows_only"].toBool()};
    call.rotates = context.saved_data["rotates"].toBool();
    const auto projections = static_cast<std::ptrdiff_t>(fused ? 1 : 3);
    const auto segments = static_cast<std::ptrdiff_t>(call.segments());
    call.projections.assign(saved.begin(), saved.begin() + projections);
    log_sums = saved[static_cast<std::size_t>(projections)];
    const auto cached = saved.begin() + projections + 1;
    call.cached_keys.assign(cached, cached + segments);
    call.cached_values.assign(cached + segments, cached + 2 * segments);
    return call;
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

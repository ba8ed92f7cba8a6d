#include "model/feed_forward.h"

#include "base/torch_compat.h"
#include "model/expert.h"
#include "model/operations.h"
#include "model/routing.h"
#include "model/shown_layer.h"

namespace taskneuron {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::tensor_list;

namespace {

// The FFN's output as it is; its backward shows it to the tap of `out`.
struct OutputTap : Function<OutputTap> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& output,
                            const FeedForwardContext* layer) {
    context->save_for_backward({output});
    remember_layer(*context, *layer);
    return output.view_as(output);
  }
  static tensor_list backward(AutogradContext* context, tensor_list gradients) {
    ShownLayer layer = recall_layer(*context);
    layer.view.site = Site::kOut;
    layer.view.activation = context->get_saved_variables()[0];
    layer.view.gradient = gradients[0];
    layer.hook.tap(layer.view);
    return {gradients[0], at::Tensor()};
  }
};

// The layer's output, scaled by the hook and shown to it.
at::Tensor shown_output(at::Tensor output, const FeedForwardContext& context) {
  NeuronHook& hook = context.hook;
  const at::Tensor scale = hook.scale(Site::kOut, context.layer);
  if (scale.defined()) output = output * scale.to(output.options());
  if (hook.wants_offset(Site::kOut, context.layer)) {
    output = add_offset(output, hook.offset(Site::kOut, context.layer, row_tokens(context)));
  }
  if (hook.wants_observe(Site::kOut, context.layer)) {
    SiteView view;
    view.site = Site::kOut;
    view.layer = context.layer;
    view.activation = view.activation_input = output;
    view.spans = &context.spans();
    hook.observe(view);
  }
  if (!hook.wants_tap(Site::kOut, context.layer)) return output;
  return OutputTap::apply(start_graph(output), &context);
}

std::shared_ptr<const ExpertRows> rows_of(const std::vector<std::int64_t>& places,
                                          std::int64_t per_token, const std::vector<RowSpan>& spans,
                                          at::Device device) {
  auto result = std::make_shared<ExpertRows>();
  std::vector<std::int64_t> rows;
  std::size_t span = 0;
  for (const std::int64_t place : places) {
    const std::int64_t row = place / per_token;
    while (row >= spans[span].end) ++span;
    const auto next = static_cast<std::int64_t>(rows.size());
    rows.push_back(row);
    if (result->spans.empty() || result->spans.back().example != spans[span].example) {
      result->spans.push_back({next, next, spans[span].example});
    }
    result->spans.back().end = next + 1;
  }
  result->index = at::tensor(rows, at::kLong).to(device);
  return result;
}

at::Tensor mixture(const at::Tensor& x, const FeedForwardContext& context) {
  const LayerWeights& weights = context.weights;
  const MixtureConfig& mixture = context.config.mixture;
  const Routing routing = route(x, weights.router, mixture);
  const auto places = places_of_experts(routing.expert, mixture.experts);
  std::vector<std::size_t> experts;  // that rows go to
  std::vector<std::shared_ptr<const ExpertRows>> rows;
  std::vector<at::Tensor> indices;
  std::vector<std::int64_t> counts, order;  // order: the place that each row of `outputs` is of
  for (std::size_t e = 0; e < places.size(); ++e) {
    if (places[e].empty()) continue;
    experts.push_back(e);
    rows.push_back(rows_of(places[e], mixture.per_token, context.spans(), x.device()));
    indices.push_back(rows.back()->index);
    counts.push_back(indices.back().size(0));
    order.insert(order.end(), places[e].begin(), places[e].end());
  }
  // Gathered and split once: their gradients come back in one piece, too.
  const std::vector<at::Tensor> inputs =
      x.index_select(0, at::cat(indices)).split_with_sizes(counts);
  std::vector<at::Tensor> outputs;
  for (std::size_t i = 0; i < experts.size(); ++i) {
    outputs.push_back(expert_output(
        inputs[i],
        {context, weights.experts[experts[i]], expert_units(context.config, experts[i]), rows[i]}));
  }
  // One row per place, in the order of places: a row's experts are added up in float32, in an order
  // that no other row changes.
  const at::Tensor by_place = at::tensor(order, at::kLong).argsort().to(x.device());
  const at::Tensor all =
      at::cat(outputs).index_select(0, by_place).view({x.size(0), mixture.per_token, x.size(1)});
  return (all * routing.weight.unsqueeze(-1)).sum(1).to(x.scalar_type());
}

}  // namespace

at::Tensor feed_forward(const at::Tensor& x, const FeedForwardContext& context) {
  const std::vector<FeedForwardWeights>& experts = context.weights.experts;
  const bool dense = experts.size() == 1;
  return shown_output(
      dense ? expert_output(x, {context, experts[0], {0, context.config.ffn_width}, nullptr})
            : mixture(x, context),
      context);
}

}  // namespace taskneuron

#include "model/shown_layer.h"

#include "model/held.h"

namespace taskneuron {

using torch::autograd::AutogradContext;

void remember_layer(AutogradContext& context, const FeedForwardContext& layer) {
  context.saved_data["layer"] = layer.layer;
  context.saved_data["plan"] = hold(layer.plan);
  context.saved_data["logit_rows_only"] = layer.logit_rows_only;
  context.saved_data["hook"] = reinterpret_cast<std::int64_t>(&layer.hook);
}

ShownLayer recall_layer(AutogradContext& context) {
  auto& data = context.saved_data;
  ShownLayer result{{}, *reinterpret_cast<NeuronHook*>(data["hook"].toInt())};
  result.view.layer = data["layer"].toInt();
  const BatchPlan& plan = *held<BatchPlan>(data["plan"]);
  result.view.spans = data["logit_rows_only"].toBool() ? &plan.logit_spans : &plan.all_spans;
  return result;
}

RowTokens row_tokens(const FeedForwardContext& layer) {
  const BatchPlan& plan = *layer.plan;
  if (!layer.logit_rows_only) return {plan.ids.cpu(), plan.positions.cpu()};
  return {plan.ids.index_select(0, plan.logit_rows).cpu(),
          plan.positions.index_select(0, plan.logit_rows).cpu()};
}

at::Tensor add_offset(const at::Tensor& omega, const at::Tensor& offset) {
  if (!offset.defined()) return omega;
  const at::Tensor added = offset.to(omega.options());
  return at::GradMode::is_enabled() ? omega + added : omega.add_(added);
}

at::Tensor start_graph(const at::Tensor& x) {
  if (x.requires_grad() || !at::GradMode::is_enabled()) return x;
  return x.detach().requires_grad_();
}

}  // namespace taskneuron

#include "model/feed_forward.h"

#include "base/torch_compat.h"
#include "model/held.h"
#include "model/kernels/dispatch.h"
#include "model/matrix_product.h"
#include "model/operations.h"

namespace taskneuron {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::tensor_list;

at::Tensor activate(const at::Tensor& x, Activation activation) {
  switch (activation) {
    case Activation::kGelu: return at::gelu(x, "none");
    case Activation::kGeluTanh: return at::gelu(x, "tanh");
    case Activation::kRelu: return at::relu(x);
    case Activation::kSilu: return at::silu(x);
  }
  return x;
}

at::Tensor activate_backward(const at::Tensor& gradient, const at::Tensor& x,
                             Activation activation) {
  switch (activation) {
    case Activation::kGelu: return at::gelu_backward(gradient, x, "none");
    case Activation::kGeluTanh: return at::gelu_backward(gradient, x, "tanh");
    case Activation::kRelu: return at::threshold_backward(gradient, x, 0);
    case Activation::kSilu: return at::silu_backward(gradient, x);
  }
  return gradient;
}

namespace {

const std::vector<RowSpan>& spans_of(const BatchPlan& plan, bool logit_rows_only) {
  return logit_rows_only ? plan.logit_spans : plan.all_spans;
}

// What a backward function needs to call a tap. The graph shares the plan, so spans stay valid.
void remember(AutogradContext& context, const FeedForwardContext& ffn) {
  context.saved_data["layer"] = ffn.layer;
  context.saved_data["plan"] = hold(ffn.plan);
  context.saved_data["logit_rows_only"] = ffn.logit_rows_only;
  context.saved_data["hook"] = reinterpret_cast<std::int64_t>(&ffn.hook);
}

struct Remembered {
  SiteView view;
  NeuronHook& hook;
};

Remembered recall(AutogradContext& context) {
  auto& data = context.saved_data;
  Remembered result{{}, *reinterpret_cast<NeuronHook*>(data["hook"].toInt())};
  result.view.layer = data["layer"].toInt();
  result.view.spans = &spans_of(*held<BatchPlan>(data["plan"]), data["logit_rows_only"].toBool());
  return result;
}

kernels::Function loop_function(Activation activation) {
  switch (activation) {
    case Activation::kGelu: return kernels::Function::kGelu;
    case Activation::kGeluTanh: return kernels::Function::kGeluTanh;
    case Activation::kRelu: return kernels::Function::kRelu;
    case Activation::kSilu: break;
  }
  return kernels::Function::kSilu;
}

template <typename T>
kernels::Activation<T> activation_arguments(const at::Tensor& up, const at::Tensor& gate,
                                            const at::Tensor& scale, Activation activation) {
  kernels::Activation<T> arguments;
  arguments.width = up.size(1);
  arguments.function = loop_function(activation);
  arguments.up = kernels::data<T>(up);
  arguments.gate = kernels::data<T>(gate);
  arguments.scale = kernels::data<T>(scale);
  return arguments;
}

at::Tensor fused_value(const at::Tensor& up, const at::Tensor& gate, const at::Tensor& scale,
                       Activation activation) {
  at::Tensor result = empty_rows(up.size(0), up.size(1), up.options());
  kernels::for_type_of(up, [&](auto zero) {
    using T = decltype(zero);
    kernels::Activation<T> arguments = activation_arguments<T>(up, gate, scale, activation);
    arguments.value = kernels::data<T>(result);
    kernels::over_rows(up.size(0), up.size(1), [&](std::int64_t begin, std::int64_t end) {
      kernels::table<T>().activation(arguments, begin, end);
    });
  });
  return result;
}

struct FusedGradients {
  at::Tensor value;                         // what fused_value returns, if rows are shown
  at::Tensor product_sums, magnitude_sums;  // of value and gradient by span, if those are
  at::Tensor up;
  at::Tensor gate;
};

// What the tap of `act` is shown of a layer.
enum class Shown { kNothing, kRows, kSums };

FusedGradients fused_backward(const at::Tensor& gradient, const at::Tensor& up,
                              const at::Tensor& gate, const at::Tensor& scale,
                              Activation activation, Shown shown,
                              const std::vector<RowSpan>& spans) {
  FusedGradients result;
  const auto count = static_cast<std::int64_t>(spans.size());
  const std::int64_t width = up.size(1);
  const auto make = [&] { return empty_rows(up.size(0), up.size(1), up.options()); };
  result.up = make();
  if (gate.defined()) result.gate = make();
  if (shown == Shown::kRows) result.value = make();
  if (shown == Shown::kSums) {
    result.product_sums = at::zeros({count, width}, at::kFloat);
    result.magnitude_sums = at::zeros({count, width}, at::kFloat);
  }
  kernels::for_type_of(up, [&](auto zero) {
    using T = decltype(zero);
    kernels::Activation<T> arguments = activation_arguments<T>(up, gate, scale, activation);
    arguments.gradient = kernels::data<T>(gradient);
    arguments.value = kernels::data<T>(result.value);
    arguments.dup = kernels::data<T>(result.up);
    arguments.dgate = kernels::data<T>(result.gate);
    if (shown != Shown::kSums) {
      return kernels::over_rows(up.size(0), width, [&](std::int64_t begin, std::int64_t end) {
        kernels::table<T>().activation_backward(arguments, begin, end);
      });
    }
    // Spans cover all rows; one is one thread's.
    at::parallel_for(0, count, 1, [&](std::int64_t begin, std::int64_t end) {
      kernels::Activation<T> own = arguments;
      for (std::int64_t s = begin; s < end; ++s) {
        own.sum = kernels::data<float>(result.product_sums) + s * width;
        own.magnitude = kernels::data<float>(result.magnitude_sums) + s * width;
        const RowSpan& span = spans[static_cast<std::size_t>(s)];
        kernels::table<T>().activation_backward(own, span.begin, span.end);
      }
    });
  });
  return result;
}

// f(gate) · up, or f(up) without a gate, times the hook's scale. Saves the pre-activations alone;
// its backward recomputes what the taps of act, up and gate are shown.
struct NeuronActivation : Function<NeuronActivation> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& up,
                            const OptionalTensor& gate, const OptionalTensor& scale,
                            const FeedForwardContext* ffn) {
    context->save_for_backward({up, tensor_or_undefined(gate), tensor_or_undefined(scale)});
    context->saved_data["activation"] = static_cast<std::int64_t>(ffn->activation);
    remember(*context, *ffn);
    return value(up, tensor_or_undefined(gate), tensor_or_undefined(scale), ffn->activation);
  }

  static at::Tensor value(const at::Tensor& up, const at::Tensor& gate, const at::Tensor& scale,
                          Activation activation) {
    if (kernels::covers(up)) return fused_value(up, gate, scale, activation);
    at::Tensor result = activate(gate.defined() ? gate : up, activation);
    if (gate.defined()) result.mul_(up);
    if (scale.defined()) result.mul_(scale);
    return result;
  }

  static tensor_list backward(AutogradContext* context, tensor_list gradients) {
    const tensor_list saved = context->get_saved_variables();
    const at::Tensor &up = saved[0], &gate = saved[1], &scale = saved[2];
    const auto activation = static_cast<Activation>(context->saved_data["activation"].toInt());
    Remembered ffn = recall(*context);
    SiteView& view = ffn.view;
    NeuronHook& hook = ffn.hook;
    const bool wants_value = hook.wants_tap(Site::kAct, view.layer);
    const auto show = [&](Site site, const at::Tensor& omega, const at::Tensor& gradient) {
      if (!hook.wants_tap(site, view.layer)) return;
      view.site = site;
      view.activation = omega;
      view.gradient = gradient;
      hook.tap(view);
    };
    if (kernels::covers(up)) {
      const Shown shown = !wants_value                              ? Shown::kNothing
                          : hook.wants_sums(Site::kAct, view.layer) ? Shown::kSums
                                                                    : Shown::kRows;
      const FusedGradients fused = fused_backward(gradients[0].contiguous(), up, gate, scale,
                                                  activation, shown, *view.spans);
      view.product_sums = fused.product_sums;
      view.magnitude_sums = fused.magnitude_sums;
      if (wants_value) show(Site::kAct, fused.value, gradients[0]);
      view.product_sums = view.magnitude_sums = at::Tensor();
      show(Site::kUp, up, fused.up);
      if (gate.defined()) show(Site::kGate, gate, fused.gate);
      return {fused.up, fused.gate, at::Tensor(), at::Tensor()};
    }
    if (wants_value) show(Site::kAct, value(up, gate, scale, activation), gradients[0]);
    const at::Tensor inner = scale.defined() ? gradients[0] * scale : gradients[0];
    if (!gate.defined()) {
      const at::Tensor dup = activate_backward(inner, up, activation);
      show(Site::kUp, up, dup);
      return {dup, at::Tensor(), at::Tensor(), at::Tensor()};
    }
    const at::Tensor dup = inner * activate(gate, activation);
    const at::Tensor dgate = activate_backward(inner * up, gate, activation);
    show(Site::kUp, up, dup);
    show(Site::kGate, gate, dgate);
    return {dup, dgate, at::Tensor(), at::Tensor()};
  }
};

// The FFN's output as it is; its backward shows it to the tap of `out`.
struct OutputTap : Function<OutputTap> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& output,
                            const FeedForwardContext* ffn) {
    context->save_for_backward({output});
    remember(*context, *ffn);
    return output.view_as(output);
  }
  static tensor_list backward(AutogradContext* context, tensor_list gradients) {
    Remembered ffn = recall(*context);
    ffn.view.site = Site::kOut;
    ffn.view.activation = context->get_saved_variables()[0];
    ffn.view.gradient = gradients[0];
    ffn.hook.tap(ffn.view);
    return {gradients[0], at::Tensor()};
  }
};

// With every weight frozen nothing below the first tapped site needs a gradient, so the graph
// starts there.
at::Tensor start_graph(const at::Tensor& x) {
  if (x.requires_grad() || !at::GradMode::is_enabled()) return x;
  return x.detach().requires_grad_();
}

at::Tensor scale_for(const FeedForwardContext& context, Site site, const at::Tensor& like) {
  const at::Tensor scale = context.hook.scale(site, context.layer);
  return scale.defined() ? scale.to(like.options()) : scale;
}

// ω with what the hook adds to it; without gradients added in place.
at::Tensor with_offset(const FeedForwardContext& context, Site site, const at::Tensor& omega) {
  if (!context.hook.wants_offset(site, context.layer)) return omega;
  const BatchPlan& plan = *context.plan;
  RowTokens rows{plan.ids, plan.positions};
  if (context.logit_rows_only) {
    rows = {plan.ids.index_select(0, plan.logit_rows),
            plan.positions.index_select(0, plan.logit_rows)};
  }
  const at::Tensor offset =
      context.hook.offset(site, context.layer, {rows.ids.cpu(), rows.positions.cpu()});
  if (!offset.defined()) return omega;
  const at::Tensor added = offset.to(omega.options());
  return at::GradMode::is_enabled() ? omega + added : omega.add_(added);
}

void observe(const FeedForwardContext& context, Site site, const at::Tensor& activation,
             const at::Tensor& input) {
  if (!context.hook.wants_observe(site, context.layer)) return;
  SiteView view;
  view.site = site;
  view.layer = context.layer;
  view.activation = activation;
  view.activation_input = input;
  view.spans = &spans_of(*context.plan, context.logit_rows_only);
  context.hook.observe(view);
}

bool wants_inner_tap(const FeedForwardContext& context) {
  for (const Site site : {Site::kAct, Site::kUp, Site::kGate}) {
    if (context.hook.wants_tap(site, context.layer)) return true;
  }
  return false;
}

}  // namespace

at::Tensor feed_forward(const at::Tensor& x, const FeedForwardContext& context) {
  const FeedForwardWeights& weights = context.weights;
  const bool gated = weights.gate.weight.defined();
  std::vector<const Linear*> inner = {&weights.up};
  if (gated) inner.push_back(&weights.gate);
  std::vector<at::Tensor> pre = linears(x, inner);
  const auto scaled = [&](const at::Tensor& value, Site site) {
    const at::Tensor scale = scale_for(context, site, value);
    return with_offset(context, site, scale.defined() ? value * scale : value);
  };
  at::Tensor up = scaled(pre[0], Site::kUp);
  at::Tensor gate = gated ? scaled(pre[1], Site::kGate) : at::Tensor();
  if (wants_inner_tap(context)) {
    up = start_graph(up);
    if (gate.defined()) gate = start_graph(gate);
  }
  const at::Tensor scale = scale_for(context, Site::kAct, up);
  const at::Tensor neurons = with_offset(
      context, Site::kAct,
      NeuronActivation::apply(up, optional_tensor(gate), optional_tensor(scale), &context));
  const at::Tensor& input = gate.defined() ? gate : up;
  observe(context, Site::kAct, neurons, input);
  observe(context, Site::kUp, up, input);
  if (gate.defined()) observe(context, Site::kGate, gate, input);

  at::Tensor output = scaled(linear(neurons, weights.down), Site::kOut);
  observe(context, Site::kOut, output, output);
  if (context.hook.wants_tap(Site::kOut, context.layer)) {
    output = OutputTap::apply(start_graph(output), &context);
  }
  return output;
}

}  // namespace taskneuron

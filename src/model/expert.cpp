#include "model/expert.h"

#include "base/torch_compat.h"
#include "model/held.h"
#include "model/kernels/dispatch.h"
#include "model/matrix_product.h"
#include "model/operations.h"
#include "model/shown_layer.h"

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

// What a backward function needs to call a tap. The graph shares plan and rows, so spans stay
// valid.
void remember(AutogradContext& context, const Expert& expert) {
  remember_layer(context, expert.layer);
  context.saved_data["first_unit"] = expert.units.first;
  if (expert.rows) context.saved_data["rows"] = hold(expert.rows);
}

ShownLayer recall(AutogradContext& context) {
  ShownLayer result = recall_layer(context);
  auto& data = context.saved_data;
  result.view.first_unit = data["first_unit"].toInt();
  if (const auto rows = data.find("rows"); rows != data.end()) {
    const auto expert_rows = held<ExpertRows>(rows->second);
    result.view.rows = expert_rows->index;
    result.view.spans = &expert_rows->spans;
  }
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
                            const Expert* expert) {
    const Activation activation = expert->layer.config.activation;
    context->save_for_backward({up, tensor_or_undefined(gate), tensor_or_undefined(scale)});
    context->saved_data["activation"] = static_cast<std::int64_t>(activation);
    remember(*context, *expert);
    return value(up, tensor_or_undefined(gate), tensor_or_undefined(scale), activation);
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
    ShownLayer shown_layer = recall(*context);
    SiteView& view = shown_layer.view;
    NeuronHook& hook = shown_layer.hook;
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

// Factors or values of the layer's units: those of the expert's.
at::Tensor own_columns(const Expert& expert, const at::Tensor& of_layer) {
  const bool all = of_layer.size(-1) == expert.units.count;
  return all ? of_layer : of_layer.narrow(-1, expert.units.first, expert.units.count);
}

at::Tensor scale_for(const Expert& expert, Site site, const at::Tensor& like) {
  const at::Tensor scale = expert.layer.hook.scale(site, expert.layer.layer);
  return scale.defined() ? own_columns(expert, scale).to(like.options()) : scale;
}

// ω with what the hook adds to it; without gradients added in place.
at::Tensor with_offset(const Expert& expert, Site site, const at::Tensor& omega) {
  const FeedForwardContext& layer = expert.layer;
  if (!layer.hook.wants_offset(site, layer.layer)) return omega;
  RowTokens rows = row_tokens(layer);
  if (expert.rows) {
    const at::Tensor index = expert.rows->index.cpu();
    rows = {rows.ids.index_select(0, index), rows.positions.index_select(0, index)};
  }
  const at::Tensor offset = layer.hook.offset(site, layer.layer, rows);
  return add_offset(omega, offset.defined() ? own_columns(expert, offset) : offset);
}

void observe(const Expert& expert, Site site, const at::Tensor& activation,
             const at::Tensor& input) {
  const FeedForwardContext& layer = expert.layer;
  if (!layer.hook.wants_observe(site, layer.layer)) return;
  SiteView view;
  view.site = site;
  view.layer = layer.layer;
  view.activation = activation;
  view.activation_input = input;
  view.first_unit = expert.units.first;
  view.spans = expert.rows ? &expert.rows->spans : &layer.spans();
  if (expert.rows) view.rows = expert.rows->index;
  layer.hook.observe(view);
}

bool wants_tap(const Expert& expert) {
  for (const Site site : {Site::kAct, Site::kUp, Site::kGate}) {
    if (expert.layer.hook.wants_tap(site, expert.layer.layer)) return true;
  }
  return false;
}

}  // namespace

at::Tensor expert_output(const at::Tensor& x, const Expert& expert) {
  const FeedForwardWeights& weights = expert.weights;
  const bool gated = weights.gate.weight.defined();
  std::vector<const Linear*> inner = {&weights.up};
  if (gated) inner.push_back(&weights.gate);
  std::vector<at::Tensor> pre = linears(x, inner);
  const auto scaled = [&](const at::Tensor& value, Site site) {
    const at::Tensor scale = scale_for(expert, site, value);
    return with_offset(expert, site, scale.defined() ? value * scale : value);
  };
  at::Tensor up = scaled(pre[0], Site::kUp);
  at::Tensor gate = gated ? scaled(pre[1], Site::kGate) : at::Tensor();
  if (wants_tap(expert)) {
    up = start_graph(up);
    if (gate.defined()) gate = start_graph(gate);
  }
  const at::Tensor scale = scale_for(expert, Site::kAct, up);
  const at::Tensor neurons = with_offset(
      expert, Site::kAct,
      NeuronActivation::apply(up, optional_tensor(gate), optional_tensor(scale), &expert));
  const at::Tensor& input = gate.defined() ? gate : up;
  observe(expert, Site::kAct, neurons, input);
  observe(expert, Site::kUp, up, input);
  if (gate.defined()) observe(expert, Site::kGate, gate, input);
  return linear(neurons, weights.down);
}

}  // namespace taskneuron

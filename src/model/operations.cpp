#include "model/operations.h"

#include "base/torch_compat.h"
#include "model/held.h"
#include "model/kernels/dispatch.h"
#include "model/matrix_product.h"

namespace taskneuron {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::tensor_list;

namespace {

bool trains(const Linear& weights) {
  return weights.training != nullptr && weights.training->any() && at::GradMode::is_enabled();
}

// The columns of x that a matrix's trained inputs meet.
at::Tensor trained_columns(const at::Tensor& x, const Parameter& inputs) {
  return inputs.active_units.defined() ? x.index_select(1, inputs.active_units) : x;
}

// A low-rank matrix in the compute dtype.
Linear low_rank(const ParameterPtr& parameter) {
  Linear result;
  result.weight = parameter->places[0];
  return result;
}

at::Tensor outputs_of(const at::Tensor& y, const Adapter& adapter) {
  return adapter.outputs.defined() ? y.index_select(1, adapter.outputs) : y;
}

void add_adapter(const at::Tensor& y, const at::Tensor& x, const Adapter& adapter) {
  const at::Tensor added =
      product(product(x, low_rank(adapter.a)), low_rank(adapter.b)).mul_(adapter.scale);
  if (adapter.outputs.defined()) {
    at::Tensor(y).index_add_(1, adapter.outputs, added);
  } else {
    at::Tensor(y).add_(added);
  }
}

// Adds to the gradients of A and B unless they are frozen, and to dx.
void adapter_backward(const at::Tensor& dy, const at::Tensor& x, const Adapter& adapter,
                      at::Tensor& dx) {
  if (adapter.frozen && !dx.defined()) return;
  const at::Tensor own = (outputs_of(dy, adapter) * adapter.scale).contiguous();
  const at::Tensor dinner = transposed_product(own, low_rank(adapter.b));
  if (!adapter.frozen) {
    adapter.b->add_product(own, product(x, low_rank(adapter.a)));
    adapter.a->add_product(dinner, x);
  }
  if (dx.defined()) transposed_product(dinner, low_rank(adapter.a), dx);
}

using Linears = std::vector<Linear>;

// Products of one x with several matrices. The graph keeps copies of the Linears, which share their
// tensors. Of trained matrices the backward pass forms the gradients of the trained part alone;
// what that needs of x is all that is kept.
struct LinearProducts : Function<LinearProducts> {
  static tensor_list forward(AutogradContext* context, const at::Tensor& x,
                             const std::vector<const Linear*>& weights, bool wants_dx,
                             bool trains_any) {
    auto copies = std::make_shared<Linears>();
    tensor_list results, kept = {at::Tensor()};
    for (const Linear* one : weights) {
      if (wants_dx || trains_any) copies->push_back(*one);
      results.push_back(product(x, *one));
      if (one->training == nullptr) continue;
      for (const AdapterPtr& adapter : one->training->adapters)
        add_adapter(results.back(), x, *adapter);
      if (!trains_any) continue;
      if (one->training->outputs || one->training->any_adapter()) kept[0] = x;
      if (one->training->inputs) kept.push_back(trained_columns(x, *one->training->inputs));
    }
    context->saved_data["weights"] = hold<Linears>(std::move(copies));
    context->saved_data["wants_dx"] = wants_dx;
    context->saved_data["trains"] = trains_any;
    if (trains_any) context->save_for_backward(std::move(kept));
    context->set_materialize_grads(false);
    return results;
  }

  static tensor_list backward(AutogradContext* context, tensor_list gradients) {
    at::Tensor dx;
    const auto weights = held<Linears>(context->saved_data["weights"]);
    const bool trains_any = context->saved_data["trains"].toBool();
    const tensor_list kept = trains_any ? context->get_saved_variables() : tensor_list();
    const at::Tensor x = trains_any ? kept[0] : at::Tensor();
    std::size_t next = 1;  // of the kept columns
    for (std::size_t i = 0; i < weights->size(); ++i) {
      const Linear& one = (*weights)[i];
      const bool columns = trains_any && one.training && one.training->inputs;
      const at::Tensor x_columns = columns ? kept[next++] : at::Tensor();
      if (!gradients[i].defined()) continue;
      const at::Tensor dy = gradients[i].contiguous();
      if (context->saved_data["wants_dx"].toBool()) dx = transposed_product(dy, one, dx);
      if (one.training == nullptr) continue;
      if (one.training->outputs) one.training->outputs->add_product(dy, x);
      if (columns) one.training->inputs->add_product_of_columns(x_columns, dy);
      if (one.training->bias) add_bias_gradient(*one.training->bias, dy);
      for (const AdapterPtr& adapter : one.training->adapters) {
        adapter_backward(dy, x, *adapter, dx);
      }
    }
    return {dx, at::Tensor(), at::Tensor(), at::Tensor()};
  }

  static void add_bias_gradient(Parameter& bias, const at::Tensor& dy) {
    const at::Tensor own = bias.active_units.defined() ? dy.index_select(1, bias.active_units) : dy;
    bias.add(own.sum(0, false, wide_type(dy)));
  }
};

template <typename T>
kernels::Norm<T> norm_arguments(const at::Tensor& x, const at::Tensor& addend,
                                const at::Tensor& weight, const at::Tensor& bias, bool rms,
                                double epsilon) {
  kernels::Norm<T> norm;
  norm.width = x.size(-1);
  norm.x = kernels::data<T>(x);
  norm.addend = kernels::data<T>(addend);
  norm.weight = kernels::data<T>(weight);
  norm.bias = kernels::data<T>(bias);
  norm.rms = rms;
  norm.epsilon = epsilon;
  return norm;
}

// add_and_normalize on the loops.
struct FusedNorm : Function<FusedNorm> {
  static tensor_list forward(AutogradContext* context, const at::Tensor& x,
                             const OptionalTensor& addend, const at::Tensor& weight,
                             const OptionalTensor& bias, bool rms, double epsilon,
                             const std::shared_ptr<const NormTraining>& training) {
    const bool adds = addend.has_value();
    const std::int64_t rows = x.size(0), width = x.size(1);
    const at::Tensor sum = adds ? empty_rows(rows, width, x.options()) : x;
    const at::Tensor normalized = empty_rows(rows, width, x.options());
    at::Tensor mean;
    const at::TensorOptions wide = x.options().dtype(wide_type(x));
    if (!rms) mean = at::empty({rows}, wide);
    const at::Tensor inverse = at::empty({rows}, wide);
    kernels::for_type_of(x, [&](auto zero) {
      using T = decltype(zero);
      using A = kernels::Accumulator<T>;
      kernels::Norm<T> norm = norm_arguments<T>(x, tensor_or_undefined(addend), weight,
                                                tensor_or_undefined(bias), rms, epsilon);
      norm.sum = adds ? kernels::data<T>(sum) : nullptr;
      norm.normalized = kernels::data<T>(normalized);
      norm.mean = kernels::data<A>(mean);
      norm.inverse = kernels::data<A>(inverse);
      kernels::over_rows(rows, width, [&](std::int64_t begin, std::int64_t end) {
        kernels::table<T>().norm(norm, begin, end);
      });
    });
    context->save_for_backward({sum, weight, mean, inverse});
    context->saved_data["adds"] = adds;
    if (training) context->saved_data["training"] = hold(training);
    context->set_materialize_grads(false);
    return {adds ? sum : x.view_as(x), normalized};
  }

  static tensor_list backward(AutogradContext* context, tensor_list gradients) {
    const tensor_list saved = context->get_saved_variables();
    const at::Tensor& sum = saved[0];
    const bool adds = context->saved_data["adds"].toBool();
    at::Tensor dx = gradients[0];
    if (gradients[1].defined()) {
      add_gradients(*context, saved, gradients[1]);
      const at::Tensor direct = gradients[0].defined() ? gradients[0].contiguous() : at::Tensor();
      const at::Tensor dnormalized = gradients[1].contiguous();
      dx = empty_rows(sum.size(0), sum.size(1), sum.options());
      kernels::for_type_of(sum, [&](auto zero) {
        using T = decltype(zero);
        using A = kernels::Accumulator<T>;
        kernels::NormBackward<T> norm;
        norm.width = sum.size(1);
        norm.sum = kernels::data<T>(sum);
        norm.weight = kernels::data<T>(saved[1]);
        norm.mean = kernels::data<A>(saved[2]);
        norm.inverse = kernels::data<A>(saved[3]);
        norm.dsum = kernels::data<T>(direct);
        norm.dnormalized = kernels::data<T>(dnormalized);
        norm.dx = kernels::data<T>(dx);
        kernels::over_rows(sum.size(0), sum.size(1), [&](std::int64_t begin, std::int64_t end) {
          kernels::table<T>().norm_backward(norm, begin, end);
        });
      });
    }
    return {dx,           adds ? dx : at::Tensor(),
            at::Tensor(), at::Tensor(),
            at::Tensor(), at::Tensor(),
            at::Tensor()};
  }

  // Of a trained norm's weight and bias.
  static void add_gradients(AutogradContext& context, const tensor_list& saved,
                            const at::Tensor& dnormalized) {
    const auto found = context.saved_data.find("training");
    if (found == context.saved_data.end()) return;
    const auto training = held<NormTraining>(found->second);
    const at::Tensor wide = dnormalized.to(wide_type(dnormalized));
    at::Tensor centred = saved[0].to(wide.scalar_type());
    if (saved[2].defined()) centred = centred - saved[2].unsqueeze(1);
    training->weight->add((wide * centred * saved[3].unsqueeze(1)).sum(0));
    if (training->bias) training->bias->add(wide.sum(0));
  }
};

struct RmsNorm : Function<RmsNorm> {
  // weight: what the normalized x is multiplied with.
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
                            double epsilon) {
    const at::Tensor wide = x.to(wide_type(x));
    const at::Tensor inverse = at::rsqrt(wide.square().mean(-1, /*keepdim=*/true) + epsilon);
    context->save_for_backward({x, weight, inverse});
    return (wide * inverse).to(x.scalar_type()) * weight;
  }
  static tensor_list backward(AutogradContext* context, tensor_list gradients) {
    const tensor_list saved = context->get_saved_variables();
    const at::Tensor& inverse = saved[2];
    const at::Tensor normalized = saved[0].to(wide_type(saved[0])) * inverse;
    const at::Tensor scaled = (gradients[0] * saved[1]).to(wide_type(saved[0]));
    const at::Tensor projection = (scaled * normalized).mean(-1, /*keepdim=*/true);
    const at::Tensor dx = (scaled - normalized * projection) * inverse;
    return {dx.to(saved[0].scalar_type()), at::Tensor(), at::Tensor()};
  }
};

at::Tensor rotated(const at::Tensor& x, const at::Tensor& cosine, const at::Tensor& sine,
                   RotaryPairs kind) {
  const std::int64_t pairs = cosine.size(-1);
  at::Tensor result = at::empty(x.sizes(), x.options());
  // Both halves of the pairs in x and in the result.
  const auto half = [&](const at::Tensor& t, std::int64_t which) {
    return kind == RotaryPairs::kHalves ? t.narrow(-1, which * pairs, pairs)
                                        : t.slice(-1, which, 2 * pairs, 2);
  };
  const at::Tensor first = half(x, 0), second = half(x, 1);
  half(result, 0).copy_(first * cosine).sub_(second * sine);
  half(result, 1).copy_(second * cosine).add_(first * sine);
  const std::int64_t rest = x.size(-1) - 2 * pairs;
  if (rest > 0) result.narrow(-1, 2 * pairs, rest).copy_(x.narrow(-1, 2 * pairs, rest));
  return result;
}

struct Rotate : Function<Rotate> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& cosine,
                            const at::Tensor& sine, RotaryPairs pairs) {
    context->save_for_backward({cosine, sine});
    context->saved_data["pairs"] = static_cast<std::int64_t>(pairs);
    return rotated(x, cosine, sine, pairs);
  }
  static tensor_list backward(AutogradContext* context, tensor_list gradients) {
    const tensor_list saved = context->get_saved_variables();
    const auto pairs = static_cast<RotaryPairs>(context->saved_data["pairs"].toInt());
    return {rotated(gradients[0], saved[0], -saved[1], pairs), at::Tensor(), at::Tensor(),
            at::Tensor()};
  }
};

}  // namespace

at::Tensor linear(const at::Tensor& x, const Linear& weights) { return linears(x, {&weights})[0]; }

std::vector<at::Tensor> linears(const at::Tensor& x, const std::vector<const Linear*>& weights) {
  bool trains_any = false;
  for (const Linear* one : weights) trains_any = trains_any || trains(*one);
  // Where nothing below is trained, the graph starts at the first trained matrix.
  const bool starts = trains_any && !x.requires_grad();
  return LinearProducts::apply(starts ? x.detach().requires_grad_() : x, weights,
                               /*wants_dx=*/!starts, trains_any);
}

namespace {

// A trained norm's weight (or bias) as LibTorch's own operations differentiate it.
at::Tensor differentiable(const at::Tensor& weight, const ParameterPtr& training) {
  const at::Tensor leaf = weight.detach().requires_grad_();
  leaf.register_hook([training](const at::Tensor& gradient) {
    training->add(gradient);
    return gradient;
  });
  return leaf;
}

Norm differentiable(const Norm& weights) {
  if (!weights.training || !at::GradMode::is_enabled()) return weights;
  Norm result = weights;
  result.weight = differentiable(weights.weight, weights.training->weight);
  if (weights.bias.defined()) result.bias = differentiable(weights.bias, weights.training->bias);
  return result;
}

at::Tensor rms_normalize(const at::Tensor& x, const at::Tensor& weight, double epsilon) {
  if (!weight.requires_grad()) return RmsNorm::apply(x, weight, epsilon);
  const at::Tensor wide = x.to(wide_type(x));
  const at::Tensor inverse = at::rsqrt(wide.square().mean(-1, /*keepdim=*/true) + epsilon);
  return (wide * inverse).to(x.scalar_type()) * weight;
}

}  // namespace

at::Tensor normalize(const at::Tensor& x, const Norm& weights, NormKind kind, double epsilon) {
  if (kernels::covers(x)) return add_and_normalize(x, {}, weights, kind, epsilon).normalized;
  const Norm norm = differentiable(weights);
  switch (kind) {
    case NormKind::kLayerNorm:
      return at::layer_norm(x, {x.size(-1)}, norm.weight, norm.bias, epsilon);
    case NormKind::kRmsNorm: return rms_normalize(x, norm.weight, epsilon);
    case NormKind::kRmsNormOne: return rms_normalize(x, norm.weight + 1, epsilon);
  }
  return x;
}

Residual add_and_normalize(const at::Tensor& x, const at::Tensor& addend, const Norm& weights,
                           NormKind kind, double epsilon) {
  if (!kernels::covers(x)) {
    Residual result;
    result.sum = addend.defined() ? x + addend : x;
    result.normalized = normalize(result.sum, weights, kind, epsilon);
    return result;
  }
  const at::Tensor weight = kind == NormKind::kRmsNormOne ? weights.weight + 1 : weights.weight;
  const tensor_list results = FusedNorm::apply(
      x.contiguous(), optional_tensor(addend), weight, optional_tensor(weights.bias),
      kind != NormKind::kLayerNorm, epsilon, weights.training);
  return {results[0], results[1]};
}

Residual add_only(const at::Tensor& x, const at::Tensor& addend) {
  const at::Tensor sum = addend.defined() ? x + addend : x;
  return {sum, sum};
}

at::Tensor rotate(const at::Tensor& x, const at::Tensor& cosine, const at::Tensor& sine,
                  RotaryPairs pairs) {
  return Rotate::apply(x, cosine, sine, pairs);
}

}  // namespace taskneuron

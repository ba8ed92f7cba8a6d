#include "model/operations.h"

#include "base/torch_compat.h"
#include "model/kernels/dispatch.h"
#include "model/matrix_product.h"

namespace taskneuron {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::tensor_list;

namespace {

// The weights travel as pointers: they belong to the Decoder, which outlives its graphs.
struct FrozenLinears : Function<FrozenLinears> {
  static tensor_list forward(AutogradContext* context, const at::Tensor& x,
                             const std::vector<const Linear*>& weights) {
    std::vector<std::int64_t> addresses;
    tensor_list results;
    for (const Linear* one : weights) {
      addresses.push_back(reinterpret_cast<std::int64_t>(one));
      results.push_back(product(x, *one));
    }
    context->saved_data["weights"] = std::move(addresses);
    context->set_materialize_grads(false);
    return results;
  }
  static tensor_list backward(AutogradContext* context, tensor_list gradients) {
    at::Tensor dx;
    const std::vector<std::int64_t> weights = context->saved_data["weights"].toIntVector();
    for (std::size_t i = 0; i < weights.size(); ++i) {
      if (!gradients[i].defined()) continue;
      dx = transposed_product(gradients[i].contiguous(),
                              *reinterpret_cast<const Linear*>(weights[i]), dx);
    }
    return {dx, at::Tensor()};
  }
};

template <typename T>
kernels::Norm<T> norm_arguments(const at::Tensor& x, const at::Tensor& addend,
                                const at::Tensor& weight, const at::Tensor& bias, double epsilon) {
  kernels::Norm<T> norm;
  norm.width = x.size(-1);
  norm.x = kernels::data<T>(x);
  norm.addend = kernels::data<T>(addend);
  norm.weight = kernels::data<T>(weight);
  norm.bias = kernels::data<T>(bias);
  norm.rms = !bias.defined();
  norm.epsilon = epsilon;
  return norm;
}

// add_and_normalize on the loops.
struct FusedNorm : Function<FusedNorm> {
  static tensor_list forward(AutogradContext* context, const at::Tensor& x,
                             const OptionalTensor& addend, const at::Tensor& weight,
                             const OptionalTensor& bias, double epsilon) {
    const bool adds = addend.has_value();
    const std::int64_t rows = x.size(0), width = x.size(1);
    const at::Tensor sum = adds ? at::empty_like(x) : x;
    const at::Tensor normalized = at::empty_like(x);
    at::Tensor mean;
    const at::TensorOptions wide = x.options().dtype(wide_type(x));
    if (bias.has_value()) mean = at::empty({rows}, wide);
    const at::Tensor inverse = at::empty({rows}, wide);
    kernels::for_type_of(x, [&](auto zero) {
      using T = decltype(zero);
      using A = kernels::Accumulator<T>;
      kernels::Norm<T> norm = norm_arguments<T>(x, tensor_or_undefined(addend), weight,
                                                tensor_or_undefined(bias), epsilon);
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
    context->set_materialize_grads(false);
    return {adds ? sum : x.view_as(x), normalized};
  }

  static tensor_list backward(AutogradContext* context, tensor_list gradients) {
    const tensor_list saved = context->get_saved_variables();
    const at::Tensor& sum = saved[0];
    const bool adds = context->saved_data["adds"].toBool();
    at::Tensor dx = gradients[0];
    if (gradients[1].defined()) {
      const at::Tensor direct = gradients[0].defined() ? gradients[0].contiguous() : at::Tensor();
      const at::Tensor dnormalized = gradients[1].contiguous();
      dx = at::empty_like(sum);
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
    return {dx, adds ? dx : at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor()};
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

at::Tensor rotated(const at::Tensor& x, const at::Tensor& cosine, const at::Tensor& sine) {
  const std::int64_t pairs = cosine.size(-1);
  const at::Tensor first = x.narrow(-1, 0, pairs);
  const at::Tensor second = x.narrow(-1, pairs, pairs);
  at::Tensor result = at::empty(x.sizes(), x.options());
  result.narrow(-1, 0, pairs).copy_(first * cosine).sub_(second * sine);
  result.narrow(-1, pairs, pairs).copy_(second * cosine).add_(first * sine);
  const std::int64_t rest = x.size(-1) - 2 * pairs;
  if (rest > 0) result.narrow(-1, 2 * pairs, rest).copy_(x.narrow(-1, 2 * pairs, rest));
  return result;
}

struct Rotate : Function<Rotate> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& cosine,
                            const at::Tensor& sine) {
    context->save_for_backward({cosine, sine});
    return rotated(x, cosine, sine);
  }
  static tensor_list backward(AutogradContext* context, tensor_list gradients) {
    const tensor_list saved = context->get_saved_variables();
    return {rotated(gradients[0], saved[0], -saved[1]), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

at::Tensor linear(const at::Tensor& x, const Linear& weights) {
  return FrozenLinears::apply(x, std::vector<const Linear*>{&weights})[0];
}

std::vector<at::Tensor> linears(const at::Tensor& x, const std::vector<const Linear*>& weights) {
  return FrozenLinears::apply(x, weights);
}

at::Tensor normalize(const at::Tensor& x, const Norm& weights, NormKind kind, double epsilon) {
  if (kernels::covers(x)) return add_and_normalize(x, {}, weights, kind, epsilon).normalized;
  switch (kind) {
    case NormKind::kLayerNorm:
      return at::layer_norm(x, {x.size(-1)}, weights.weight, weights.bias, epsilon);
    case NormKind::kRmsNorm: return RmsNorm::apply(x, weights.weight, epsilon);
    case NormKind::kRmsNormOne: return RmsNorm::apply(x, weights.weight + 1, epsilon);
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
  const tensor_list results = FusedNorm::apply(x.contiguous(), optional_tensor(addend), weight,
                                               optional_tensor(weights.bias), epsilon);
  return {results[0], results[1]};
}

at::Tensor rotate(const at::Tensor& x, const at::Tensor& cosine, const at::Tensor& sine) {
  return Rotate::apply(x, cosine, sine);
}

}  // namespace taskneuron

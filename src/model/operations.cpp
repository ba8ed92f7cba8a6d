#include "model/operations.h"

#include "base/torch_compat.h"
#include "model/matrix_product.h"

namespace taskneuron {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::tensor_list;

namespace {

// A matrix whose dtype is not the compute dtype is converted twice, forward and backward, instead
// of being kept converted between: memory stays that of one matrix.
struct FrozenLinear : Function<FrozenLinear> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
                            const OptionalTensor& bias) {
    context->save_for_backward({weight});
    return matrix_product(x, weight.to(x.scalar_type()).t(), tensor_or_undefined(bias));
  }
  static tensor_list backward(AutogradContext* context, tensor_list gradients) {
    const at::Tensor weight = context->get_saved_variables()[0];
    return {matrix_product(gradients[0], weight.to(gradients[0].scalar_type())), at::Tensor(),
            at::Tensor()};
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
  return FrozenLinear::apply(x, weights.weight, optional_tensor(weights.bias));
}

at::Tensor normalize(const at::Tensor& x, const Norm& weights, NormKind kind, double epsilon) {
  switch (kind) {
    case NormKind::kLayerNorm:
      return at::layer_norm(x, {x.size(-1)}, weights.weight, weights.bias, epsilon);
    case NormKind::kRmsNorm: return RmsNorm::apply(x, weights.weight, epsilon);
    case NormKind::kRmsNormOne: return RmsNorm::apply(x, weights.weight + 1, epsilon);
  }
  return x;
}

at::Tensor rotate(const at::Tensor& x, const at::Tensor& cosine, const at::Tensor& sine) {
  return Rotate::apply(x, cosine, sine);
}

}  // namespace taskneuron

#include "taskneuron/model/recompute.h"

#include "base/torch_compat.h"
#include "model/weights.h"

namespace taskneuron {

void recomputed_backward(const Decoder& decoder, const Batch& batch, NeuronHook& hook,
                         KeyValueCache* cache,
                         const std::function<void(const at::Tensor&)>& check) {
  const std::int64_t layers = decoder.config().layers;
  const BatchPlanPtr plan = decoder.plan(batch);
  const bool trains_embedding = decoder.weights().embedding.training != nullptr;
  std::vector<at::Tensor> inputs;  // of each layer, and what follows the last
  {
    const at::NoGradGuard no_gradients;
    inputs.push_back(decoder.embed(*plan));
    for (std::int64_t l = 0; l < layers; ++l) {
      inputs.push_back(decoder.layer(l, inputs.back(), plan, hook, cache));
    }
  }
  at::Tensor x = inputs.back().detach().requires_grad_();
  at::Tensor nll;
  const at::Tensor loss = decoder.target_loss(decoder.finish(x), batch, &nll);
  check(nll);
  loss.backward();
  for (std::int64_t l = layers - 1; l >= 0; --l) {
    const at::Tensor gradient = x.grad();
    inputs.pop_back();
    x = inputs.back().detach();
    // Below the first layer only a trained embedding needs a gradient.
    if (l == 0 && trains_embedding) x = decoder.embed(*plan);
    if (l > 0) x.requires_grad_();
    const at::Tensor output = decoder.layer(l, x, plan, hook, cache);
    if (output.requires_grad()) output.backward(gradient);
  }
}

}  // namespace taskneuron

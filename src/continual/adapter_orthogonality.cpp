#include "taskneuron/continual/adapter_orthogonality.h"

#include "base/torch_compat.h"

namespace taskneuron {

double AdapterOrthogonality::add(const StepView& step) {
  double sum = 0;
  for (const AdapterPtr& trained : step.model.adapters) {
    if (trained->frozen) continue;
    Parameter& a = *trained->a;
    for (const AdapterPtr& earlier : step.model.adapters) {
      if (!earlier->frozen || earlier->a->tensor != a.tensor) continue;
      const at::Tensor before = earlier->a->master.to(a.master.scalar_type());
      const at::Tensor product = at::matmul(before, a.master.t());  // [earlier rank, rank]
      if (penalty_ == AdapterPenalty::kAbsolute) {
        sum += product.abs().sum(at::kDouble).item<double>();
        a.gradient.add_(at::matmul(product.sign().t(), before), lambda_);
      } else {
        sum += product.square().sum(at::kDouble).item<double>();
        a.gradient.add_(at::matmul(product.t(), before), 2 * lambda_);
      }
    }
  }
  return lambda_ * sum;
}

}  // namespace taskneuron

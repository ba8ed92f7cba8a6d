#include "taskneuron/continual/adapter_orthogonality.h"

#include <map>
#include <string>
#include <vector>

#include "base/torch_compat.h"

namespace taskneuron {

double AdapterOrthogonality::add(const StepView& step) {
  double sum = 0;
  std::map<std::string, std::vector<const Adapter*>> earlier_of;  // by the target
  for (const AdapterPtr& adapter : step.model.adapters) {
    if (adapter->frozen) earlier_of[adapter->a->tensor].push_back(adapter.get());
  }
  for (const AdapterPtr& trained : step.model.adapters) {
    if (trained->frozen) continue;
    Parameter& a = *trained->a;
    for (const Adapter* earlier : earlier_of[a.tensor]) {
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

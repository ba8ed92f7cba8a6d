#include "model/kernels/dispatch.h"

namespace taskneuron::kernels {

namespace {

bool enabled_everywhere = true;

}  // namespace

void enable(bool enabled) { enabled_everywhere = enabled; }

bool covers(at::Device device, at::ScalarType type) {
  return enabled_everywhere && device.is_cpu() &&
         (type == at::kFloat || type == at::kBFloat16 || type == at::kDouble);
}

}  // namespace taskneuron::kernels

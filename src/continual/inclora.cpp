#include "continual/adapters.h"

namespace taskneuron {

MethodPtr make_inclora(const MethodSettings& settings) {
  return std::make_unique<IncLora>(settings);
}

}  // namespace taskneuron

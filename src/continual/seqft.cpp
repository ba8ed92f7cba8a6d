#include "continual/full.h"

namespace taskneuron {

// All parameters, one task after another.
MethodPtr make_seqft(const MethodSettings& settings) {
  return std::make_unique<FullMethod>(settings);
}

}  // namespace taskneuron

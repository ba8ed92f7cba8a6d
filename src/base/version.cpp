#include "taskneuron/base/version.h"

namespace taskneuron {

const char* version() { return TASKNEURON_VERSION; }

}  // namespace taskneuron

#pragma once

#include <string>

#include "base/world.h"

namespace taskneuron {

// The address at which other ranks reach this machine; "" if none is found.
std::string own_address(const WorldPlace& place);

}  // namespace taskneuron

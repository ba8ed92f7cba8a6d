#pragma once

#include <string>
#include <vector>

#include "base/world.h"

namespace taskneuron {

// The address that a host's name leads to from here; "" if none is found.
std::string address_of_host(const std::string& host);

// The address at which other ranks reach this machine; "" if none is found. host_seen_at: what
// rank 0's name leads to from every rank.
std::string own_address(const WorldPlace& place, const std::vector<std::string>& host_seen_at);

}  // namespace taskneuron

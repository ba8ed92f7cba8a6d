#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/world.h"

namespace taskneuron {

// The address that a host's name leads to from here; "" if none is found.
std::string address_of_host(const std::string& host);

// Why no connection to a port of a host comes about within so many seconds; "" if one does. It is
// closed at once.
std::string problem_of_port(const std::string& host, std::int64_t port, double seconds);

// The address at which other ranks reach this machine; "" if none is found. host_seen_at: what
// rank 0's name leads to from every rank.
std::string own_address(const WorldPlace& place, const std::vector<std::string>& host_seen_at);

}  // namespace taskneuron

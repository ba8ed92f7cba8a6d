#include "base/world_address.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

namespace taskneuron {

namespace {

// The address of this machine that rank 0's host is reached from.
std::string address_towards(const WorldPlace& place) {
  addrinfo hints{}, *found = nullptr;
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_DGRAM;
  const std::string port = std::to_string(place.port);
  if (::getaddrinfo(place.host.c_str(), port.c_str(), &hints, &found) != 0) return "";
  std::string address;
  for (const addrinfo* one = found; one != nullptr && address.empty(); one = one->ai_next) {
    const int descriptor = ::socket(one->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    sockaddr_storage own{};
    socklen_t length = sizeof own;
    char name[NI_MAXHOST] = "";
    if (descriptor >= 0 && ::connect(descriptor, one->ai_addr, one->ai_addrlen) == 0 &&
        ::getsockname(descriptor, reinterpret_cast<sockaddr*>(&own), &length) == 0 &&
        ::getnameinfo(reinterpret_cast<sockaddr*>(&own), length, name, sizeof name, nullptr, 0,
                      NI_NUMERICHOST) == 0) {
      address = name;
    }
    if (descriptor >= 0) ::close(descriptor);
  }
  ::freeaddrinfo(found);
  return address;
}

// Addresses that other machines can reach, of all interfaces.
std::vector<std::string> outer_addresses() {
  ifaddrs* all = nullptr;
  std::vector<std::string> addresses;
  if (::getifaddrs(&all) != 0) return addresses;
  for (const ifaddrs* one = all; one != nullptr; one = one->ifa_next) {
    const bool usable = one->ifa_addr != nullptr && one->ifa_addr->sa_family == AF_INET &&
                        (one->ifa_flags & IFF_UP) != 0 && (one->ifa_flags & IFF_LOOPBACK) == 0;
    char name[NI_MAXHOST] = "";
    if (usable && ::getnameinfo(one->ifa_addr, sizeof(sockaddr_in), name, sizeof name, nullptr, 0,
                                NI_NUMERICHOST) == 0) {
      addresses.push_back(name);
    }
  }
  ::freeifaddrs(all);
  return addresses;
}

bool is_inner(const std::string& address) {
  return address.rfind("127.", 0) == 0 || address == "::1";
}

}  // namespace

std::string address_of_host(const std::string& host) {
  addrinfo hints{}, *found = nullptr;
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  if (::getaddrinfo(host.c_str(), nullptr, &hints, &found) != 0) return "";
  char name[NI_MAXHOST] = "";
  ::getnameinfo(found->ai_addr, found->ai_addrlen, name, sizeof name, nullptr, 0, NI_NUMERICHOST);
  ::freeaddrinfo(found);
  return name;
}

std::string own_address(const WorldPlace& place, const std::vector<std::string>& host_seen_at) {
  const std::string address = address_towards(place);
  if (!is_inner(address) || place.local_size >= place.size) return address;
  // Many a machine's own name leads to itself alone. This is rank 0's: others know better, and
  // which of its interfaces they mean.
  const std::vector<std::string> own = outer_addresses();
  for (const std::string& seen : host_seen_at) {
    if (std::find(own.begin(), own.end(), seen) != own.end()) return seen;
  }
  return own.empty() ? "" : own.front();
}

}  // namespace taskneuron

#include "base/world_address.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

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

// An address that other machines can reach, of the first interface that has one; else "".
std::string outer_address() {
  ifaddrs* all = nullptr;
  if (::getifaddrs(&all) != 0) return "";
  std::string address;
  for (const ifaddrs* one = all; one != nullptr && address.empty(); one = one->ifa_next) {
    const bool usable = one->ifa_addr != nullptr && one->ifa_addr->sa_family == AF_INET &&
                        (one->ifa_flags & IFF_UP) != 0 && (one->ifa_flags & IFF_LOOPBACK) == 0;
    char name[NI_MAXHOST] = "";
    if (usable && ::getnameinfo(one->ifa_addr, sizeof(sockaddr_in), name, sizeof name, nullptr, 0,
                                NI_NUMERICHOST) == 0) {
      address = name;
    }
  }
  ::freeifaddrs(all);
  return address;
}

}  // namespace

std::string own_address(const WorldPlace& place) {
  const std::string address = address_towards(place);
  // Many a machine's own name leads to itself alone.
  const bool inner = address.rfind("127.", 0) == 0 || address == "::1";
  return inner && place.local_size < place.size ? outer_address() : address;
}

}  // namespace taskneuron

#include "base/world_address.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

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

// 0, or the errno of why one address does not answer.
int error_of_connecting(const addrinfo& to, int milliseconds) {
  const int descriptor = ::socket(to.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (descriptor < 0) return errno;
  int error = ::connect(descriptor, to.ai_addr, to.ai_addrlen) == 0 ? 0 : errno;
  if (error == EINPROGRESS) {
    pollfd waiting{descriptor, POLLOUT, 0};
    socklen_t length = sizeof error;
    if (::poll(&waiting, 1, milliseconds) <= 0) {
      error = ETIMEDOUT;
    } else if (::getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &length) != 0) {
      error = errno;
    }
  }
  ::close(descriptor);
  return error;
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

std::string problem_of_port(const std::string& host, std::int64_t port, double seconds) {
  addrinfo hints{}, *found = nullptr;
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  const int unknown = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (unknown != 0) return ::gai_strerror(unknown);
  int addresses = 0, error = 0;
  for (const addrinfo* one = found; one != nullptr; one = one->ai_next) ++addresses;
  for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
    error = error_of_connecting(*one, static_cast<int>(1000 * seconds / addresses));
    if (error == 0) break;
  }
  ::freeaddrinfo(found);
  return error == 0 ? "" : std::strerror(error);
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

// A world of several processes: c10d's Gloo.
#ifndef USE_C10D_GLOO
#define USE_C10D_GLOO
#endif
#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>
#include <optional>
#include <thread>

#include "base/deadline.h"
#include "base/silence.h"
#include "base/temporaries.h"
#include "base/torch_compat.h"
#include "base/world.h"
#include "base/world_address.h"
#include "base/world_store.h"
#include "base/world_watch.h"
#include "taskneuron/base/interruption.h"

namespace taskneuron {

namespace fs = std::filesystem;

namespace {

constexpr std::chrono::seconds kMeeting{22};
// A rank may compute that long before it is met again.
constexpr std::chrono::hours kWork{24 * 30};
// For others to hear why all end, of whoever holds the store.
constexpr std::chrono::milliseconds kHeard{1000};

auto device_at(const std::string& address) {
  const char* interface = std::getenv("GLOO_SOCKET_IFNAME");
  if (interface != nullptr) return c10d::ProcessGroupGloo::createDeviceForInterface(interface);
  if (!address.empty()) return c10d::ProcessGroupGloo::createDeviceForHostname(address);
  return c10d::ProcessGroupGloo::createDefaultDevice();
}

std::string host_name() {
  char host[256] = "";
  ::gethostname(host, sizeof host - 1);
  return host;
}

// The machine, and which of its processors this process may run on.
std::string own_processors() {
  std::string text = host_name();
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) != 0) return text;
  for (int i = 0; i < CPU_SETSIZE; ++i) text += CPU_ISSET(i, &set) ? " " + std::to_string(i) : "";
  return text;
}

class GlooWorld : public World {
 public:
  explicit GlooWorld(const WorldPlace& place);
  ~GlooWorld() override;

  void sum(const std::vector<at::Tensor>& tensors) override;
  std::vector<std::string> gather(const std::string& bytes) override;
  std::string broadcast(const std::string& bytes) override;
  std::string output(const std::string& path) const override;
  bool tells(const std::string& text) override;
  void leave() override;

 private:
  void meet();
  [[noreturn]] void tell_unconnected();
  void make_own_folder();
  void speak() {
    if (errors_) errors_->end();
  }
  bool claims(const std::string& text) const;
  void publish(const std::string& what, const std::string& text);
  std::vector<std::string> published(const std::string& what) const;
  void require_versions() const;
  // Runs a collective; a failure of one is a rank that has gone.
  template <typename Work>
  void wait(Work&& begin);
  void all_reduce(at::Tensor tensor);

  StorePtr store_;
  // Ranks above 0 are silent, until one of them is the one that tells.
  std::optional<Silence> errors_;
  c10::intrusive_ptr<c10d::ProcessGroupGloo> group_;
  fs::path own_folder_;
  std::unique_ptr<WorldWatch> watch_;
};

GlooWorld::GlooWorld(const WorldPlace& place) : World(place), store_(open_store(place, false)) {
  if (place.rank > 0) {
    std::fflush(stdout);
    Silence(STDOUT_FILENO).forever();
    errors_.emplace(STDERR_FILENO);
  }
  store_->setTimeout(kMeeting);
  try {
    meet();
  } catch (const std::exception& error) {
    // Others find the same; one tells.
    if (!claims(error.what())) throw LostRank("");
    speak();
    if (rank() == 0) std::this_thread::sleep_for(kHeard);
    throw;
  }
}

bool GlooWorld::claims(const std::string& text) const {
  const std::string mine = fmt::format("{} {}", rank(), text);
  try {
    return board_of(store_)->claim(kWhyAllEnd, mine) == mine;
  } catch (const std::exception&) {
    return true;  // nothing can be said but here
  }
}

void GlooWorld::meet() {
  publish("name", fmt::format("process {} on {}", ::getpid(), host_name()));
  publish("processors", own_processors());
  publish("version", own_version());
  publish("host", host_name());
  require_versions();
  const std::vector<std::string> hosts = published("host");
  const auto here = [&](auto end) { return std::count(hosts.begin(), end, host_name()); };
  set_local(here(hosts.begin() + rank()), here(hosts.end()));
  // A launcher that binds gives each rank processors of its own.
  const std::vector<std::string> processors = published("processors");
  set_neighbours(std::count(processors.begin(), processors.end(), own_processors()));
  watch_ =
      std::make_unique<WorldWatch>(place(), published("name"), board_of(open_store(place(), true)),
                                   [this](const std::string& text) {
                                     if (!text.empty()) speak();
                                     end_at_once(text.empty() ? "" : "error: " + text);
                                   });
  publish("seen", address_of_host(place().host));
  const std::string address = own_address(place(), published("seen"));
  publish("address", address);
  const Deadline deadline(kMeeting, [&] { tell_unconnected(); });
  try {
    // The one timeout that Gloo knew until 2.9, whatever a collective asks for. Who goes is noticed
    // by the watch.
    auto options = c10d::ProcessGroupGloo::Options::create(kWork);
    options->devices.push_back(device_at(address));
    group_ = c10::make_intrusive<c10d::ProcessGroupGloo>(
        c10::make_intrusive<c10d::PrefixStore>("gloo", store_), static_cast<int>(rank()),
        static_cast<int>(size()), options);
  } catch (const std::exception& error) {
    throw Error(
        fmt::format("rank {} cannot connect to the other ranks ({}); GLOO_SOCKET_IFNAME "
                    "names the network interface",
                    rank(), first_line(error.what())));
  }
  if (rank() > 0) make_own_folder();
}

// Gloo itself would wait for hours. Each rank that has no connection comes here.
void GlooWorld::tell_unconnected() {
  std::string where;
  try {
    const std::vector<std::string> all = published("address");
    for (std::size_t r = 0; r < all.size(); ++r) {
      where += fmt::format("{}rank {} at {}", r == 0 ? "" : ", ", r, all[r]);
    }
  } catch (const std::exception&) {
    where = "some have not said where they are";
  }
  const std::string text = fmt::format(
      "the ranks cannot connect to each other within {} s ({}); GLOO_SOCKET_IFNAME names "
      "the network interface that each is reached by",
      kMeeting.count(), where);
  const bool tells = claims(text);
  if (tells) speak();
  if (rank() == 0) std::this_thread::sleep_for(kHeard);
  end_at_once(tells ? "error: " + text : "");
}

void GlooWorld::make_own_folder() {
  const fs::path place = fs::temp_directory_path();
  std::string name = (place / fmt::format("taskneuron-rank{}-XXXXXX", rank())).string();
  const auto lock = hold_temporaries();
  if (::mkdtemp(name.data()) == nullptr) {
    throw Error(
        fmt::format("{}: no folder can be made there: {}", place.string(), std::strerror(errno)));
  }
  own_folder_ = name;
  remember_temporary(own_folder_);
}

GlooWorld::~GlooWorld() {
  watch_.reset();
  if (errors_) errors_->forever();
  if (own_folder_.empty()) return;
  const auto lock = hold_temporaries();
  std::error_code ignored;
  fs::remove_all(own_folder_, ignored);
  forget_temporary(own_folder_);
}

void GlooWorld::publish(const std::string& what, const std::string& text) {
  put(*store_, fmt::format("{}/{}", what, rank()), text);
}

std::vector<std::string> GlooWorld::published(const std::string& what) const {
  std::vector<std::string> found;
  for (std::int64_t r = 0; r < size(); ++r) {
    try {
      found.push_back(get(*store_, fmt::format("{}/{}", what, r)));
    } catch (const std::exception&) {
      throw Error(
          fmt::format("rank {} did not come within {} s; all {} must be started, each as {}", r,
                      kMeeting.count(), size(), own_version()));
    }
  }
  return found;
}

// Before anything is sent whose form may depend on it.
void GlooWorld::require_versions() const {
  const std::vector<std::string> all = published("version");
  const auto other = std::find_if(all.begin(), all.end(),
                                  [&](const std::string& text) { return text != all.front(); });
  if (other == all.end()) return;
  throw Error(fmt::format("rank {} is {}, and rank 0 is {}; every rank needs the same",
                          other - all.begin(), *other, all.front()));
}

template <typename Work>
void GlooWorld::wait(Work&& begin) {
  try {
    begin()->wait(kWork);
  } catch (const std::exception&) {
    throw LostRank(watch_->lost());
  }
}

void GlooWorld::all_reduce(at::Tensor tensor) {
  std::vector<at::Tensor> one = {std::move(tensor)};
  c10d::AllreduceOptions how;
  how.timeout = kWork;
  wait([&] { return group_->allreduce(one, how); });
}

void GlooWorld::sum(const std::vector<at::Tensor>& tensors) {
  // Many small ones travel as one.
  constexpr std::int64_t kLarge = 1 << 20;
  const at::NoGradGuard no_gradients;
  std::map<at::ScalarType, std::vector<at::Tensor>> small;
  for (const at::Tensor& tensor : tensors) {
    TN_CHECK(tensor.is_contiguous() && tensor.device().is_cpu());
    if (tensor.numel() == 0) continue;
    if (tensor.numel() < kLarge) {
      small[tensor.scalar_type()].push_back(tensor.view({-1}));
    } else {
      all_reduce(tensor);
    }
  }
  for (auto& item : small) {
    const at::Tensor together = at::cat(item.second);
    all_reduce(together);
    std::int64_t begin = 0;
    for (at::Tensor& part : item.second) {
      part.copy_(together.narrow(0, begin, part.numel()));
      begin += part.numel();
    }
  }
}

std::vector<std::string> GlooWorld::gather(const std::string& bytes) {
  c10d::AllgatherOptions how;
  how.timeout = kWork;
  const auto exchange = [&](const at::Tensor& own) {
    std::vector<at::Tensor> input = {own};
    std::vector<std::vector<at::Tensor>> output(1);
    for (std::int64_t r = 0; r < size(); ++r) output[0].push_back(at::empty_like(own));
    wait([&] { return group_->allgather(output, input, how); });
    return output[0];
  };
  const auto own = static_cast<std::int64_t>(bytes.size());
  std::vector<std::int64_t> sizes;
  std::int64_t most = 1;
  for (const at::Tensor& size : exchange(at::full({1}, own, at::kLong))) {
    sizes.push_back(size.item<std::int64_t>());
    most = std::max(most, sizes.back());
  }
  const at::Tensor padded = at::zeros({most}, at::kByte);
  std::memcpy(padded.data_ptr(), bytes.data(), bytes.size());
  std::vector<std::string> all;
  for (const at::Tensor& one : exchange(padded)) {
    all.emplace_back(static_cast<const char*>(one.data_ptr()),
                     static_cast<std::size_t>(sizes[all.size()]));
  }
  return all;
}

std::string GlooWorld::broadcast(const std::string& bytes) {
  c10d::BroadcastOptions how;
  how.timeout = kWork;
  const auto send = [&](const at::Tensor& tensor) {
    std::vector<at::Tensor> one = {tensor};
    wait([&] { return group_->broadcast(one, how); });
  };
  const at::Tensor count = at::full({1}, static_cast<std::int64_t>(bytes.size()), at::kLong);
  send(count);
  const auto size = count.item<std::int64_t>();
  if (size == 0) return "";
  const at::Tensor content = at::empty({size}, at::kByte);
  if (rank() == 0) std::memcpy(content.data_ptr(), bytes.data(), bytes.size());
  send(content);
  return {static_cast<const char*>(content.data_ptr()), static_cast<std::size_t>(size)};
}

std::string GlooWorld::output(const std::string& path) const {
  if (own_folder_.empty() || path.empty()) return path;
  return (own_folder_ / fs::absolute(path).lexically_normal().relative_path()).string();
}

bool GlooWorld::tells(const std::string& text) {
  if (!watch_) {  // they have not met
    speak();
    return true;
  }
  const bool tells = watch_->tells(text);
  if (tells) speak();
  return tells;
}

void GlooWorld::leave() {
  std::int64_t nothing = 0;
  World::sum(nothing);  // all are done
  watch_->leaving();
  World::sum(nothing);  // and nobody is missed
}

}  // namespace

void join_world() {
  const WorldPlace place = world_place();
  if (place.size == 1) return;
  set_world(std::make_unique<GlooWorld>(place));
}

}  // namespace taskneuron

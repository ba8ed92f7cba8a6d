// A store of c10d's, in the process of rank 0.
#include "base/world_store.h"

#include <c10/util/Logging.h>
#include <fmt/format.h>
#include <torch/version.h>
#include <unistd.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <thread>

#include "base/silence.h"
#include "base/torch_compat.h"
#include "base/world_address.h"
#include "taskneuron/base/version.h"

namespace taskneuron {

namespace {

constexpr std::chrono::seconds kReaching{18};

std::vector<std::uint8_t> bytes_of(const std::string& text) { return {text.begin(), text.end()}; }
std::string text_of(const std::vector<std::uint8_t>& bytes) { return {bytes.begin(), bytes.end()}; }

// A name may come to be known only a little after its host, and rank 0 may listen a little after
// the others came. LibTorch's own tries come further and further apart, and may end long after the
// time that they are given.
void wait_for_rank_0(const WorldPlace& place, bool is_rank_0) {
  const auto until = std::chrono::steady_clock::now() + kReaching;
  for (;;) {
    const bool named = !address_of_host(place.host).empty();
    if (named && is_rank_0) return;
    const std::string problem = named ? problem_of_port(place.host, place.port, 3) : "";
    if (named && problem.empty()) return;
    if (std::chrono::steady_clock::now() > until) {
      throw Error(
          named ? fmt::format(
                      "rank {} cannot reach rank 0 at {}:{} within {} s ({}); does MASTER_ADDR "
                      "name its host, and does it run?",
                      place.rank, place.host, place.port, kReaching.count(), problem)
                : fmt::format("rank {} finds no address of rank 0's host {}:{}; MASTER_ADDR is to "
                              "name it",
                              place.rank, place.host, place.port));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(named ? 200 : 1000));
  }
}

// Newer LibTorches tell of every connection that breaks, over many lines and from any thread.
void log_errors_alone() {
  constexpr int kErrors = 2;
  if (FLAGS_caffe2_log_level < kErrors) FLAGS_caffe2_log_level = kErrors;
}

class StoreBoard : public WorldBoard {
 public:
  explicit StoreBoard(StorePtr store) : store_(std::move(store)) {}
  std::int64_t add(const std::string& key, std::int64_t value) override {
    return store_->add(key, value);
  }
  std::optional<std::string> find(const std::string& key) override {
    if (!store_->check({key})) return std::nullopt;
    return get(*store_, key);
  }
  std::string claim(const std::string& key, const std::string& text) override {
    return text_of(store_->compareSet(key, {}, bytes_of(text)));
  }

 private:
  StorePtr store_;
};

}  // namespace

std::string own_version() {
  return fmt::format("taskneuron {} on LibTorch {}", version(), TORCH_VERSION);
}

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

StorePtr open_store(const WorldPlace& place, bool guest) {
  c10d::TCPStoreOptions options;
  options.port = static_cast<std::uint16_t>(place.port);
  options.isServer = place.rank == 0 && !guest;
  options.waitWorkers = false;
  options.timeout = kReaching;
  wait_for_rank_0(place, options.isServer);
  log_errors_alone();
  const Silence silence(STDERR_FILENO);
  try {
    const StorePtr store = c10::make_intrusive<c10d::TCPStore>(place.host, options);
    // One that is started again may meet what is left of the last.
    const std::string job = "taskneuron/" + place.job;
    const std::string counter = job + (guest ? "/watched" : "/begun");
    const std::int64_t number = (store->add(counter, 1) - 1) / place.size;
    return c10::make_intrusive<c10d::PrefixStore>(fmt::format("{}/{}", job, number), store);
  } catch (const std::exception& error) {
    throw Error(
        options.isServer
            ? fmt::format("rank 0 cannot listen at port {} ({}); set MASTER_PORT to a free one",
                          place.port, first_line(error.what()))
            : fmt::format("rank {} cannot reach rank 0 at {}:{} within {} s ({}); does "
                          "MASTER_ADDR name its host, does it run, and is it {} too?",
                          place.rank, place.host, place.port, kReaching.count(),
                          first_line(error.what()), own_version()));
  }
}

void put(c10d::Store& store, const std::string& key, const std::string& text) {
  store.set(key, bytes_of(text));
}

std::string get(c10d::Store& store, const std::string& key) { return text_of(store.get(key)); }

std::unique_ptr<WorldBoard> board_of(StorePtr store) {
  return std::make_unique<StoreBoard>(std::move(store));
}

}  // namespace taskneuron

#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/world.h"

namespace taskneuron {

// What ranks tell each other beside their work, over a store that all of them reach.
class WorldBoard {
 public:
  virtual ~WorldBoard() = default;
  // These throw std::exception when the store is gone.
  virtual std::int64_t add(const std::string& key, std::int64_t value) = 0;
  virtual std::optional<std::string> find(const std::string& key) = 0;
  // What stands under the key: `text` if nothing did.
  virtual std::string claim(const std::string& key, const std::string& text) = 0;
};

// The key of what ends all ranks.
inline constexpr const char* kWhyAllEnd = "end";

// Notices ranks that have gone, from a thread of its own: each shows that it lives twice a second.
// All ranks end by one message, of whoever claims it first.
class WorldWatch {
 public:
  // names: of the ranks, for messages. end: ends the process at once, telling the text if it is not
  // empty.
  WorldWatch(WorldPlace place, std::vector<std::string> names, std::unique_ptr<WorldBoard> board,
             std::function<void(const std::string&)> end);
  ~WorldWatch();
  WorldWatch(const WorldWatch&) = delete;
  WorldWatch& operator=(const WorldWatch&) = delete;

  // A rank's connection broke: which has gone, "" where that has been told.
  std::string lost();
  // Whether this rank tells why it ends. Others are given a moment to hear of it where this one
  // holds the store.
  bool tells(const std::string& text);
  // From here on nobody is missed.
  void leaving() { leaving_ = true; }

 private:
  using Clock = std::chrono::steady_clock;
  void run();
  bool beat();
  // The first rank that has been silent for so long.
  std::optional<std::int64_t> silent(std::chrono::milliseconds longer_than, bool all);
  std::string without_store() const;
  void wait_for_others();
  void guard();
  // While it lives, this rank waits for the board to answer.
  class AtBoard {
   public:
    explicit AtBoard(WorldWatch& watch) : watch_(watch) {
      watch_.asked_ = Clock::now().time_since_epoch();
    }
    ~AtBoard() { watch_.asked_ = Clock::duration::zero(); }
    AtBoard(const AtBoard&) = delete;
    AtBoard& operator=(const AtBoard&) = delete;

   private:
    WorldWatch& watch_;
  };
  std::string gone_text(std::int64_t rank) const;

  WorldPlace place_;
  std::vector<std::string> names_;
  std::unique_ptr<WorldBoard> board_;
  std::function<void(const std::string&)> end_;
  std::mutex board_mutex_;  // of board_ and of what was seen
  std::vector<std::int64_t> beats_;
  std::vector<Clock::time_point> seen_;
  std::atomic<Clock::duration> asked_{
      Clock::duration::zero()};  // since the clock's start; 0: nothing
  std::atomic<bool> leaving_{false};
  std::atomic<bool> stopped_{false};
  std::mutex waiting_;
  std::condition_variable stop_;
  std::thread thread_, guard_;
};

}  // namespace taskneuron

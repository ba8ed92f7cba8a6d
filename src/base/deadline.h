#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace taskneuron {

// Does something, from a thread of its own, unless it goes before so much time.
class Deadline {
 public:
  Deadline(std::chrono::seconds after, std::function<void()> late)
      : thread_([this, after, late = std::move(late)] {
          std::unique_lock<std::mutex> lock(mutex_);
          if (!met_.wait_for(lock, after, [this] { return over_; })) late();
        }) {}
  ~Deadline() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      over_ = true;
    }
    met_.notify_all();
    thread_.join();
  }
  Deadline(const Deadline&) = delete;
  Deadline& operator=(const Deadline&) = delete;

 private:
  std::mutex mutex_;
  std::condition_variable met_;
  bool over_ = false;
  std::thread thread_;  // last: it uses the others
};

}  // namespace taskneuron

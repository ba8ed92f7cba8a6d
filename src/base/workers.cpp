#include "base/workers.h"

#include <ATen/ThreadLocalState.h>
#include <omp.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "base/torch_compat.h"

namespace taskneuron {

namespace {

class SideBySide {
 public:
  SideBySide(std::int64_t count, const std::function<void(std::int64_t)>& work,
             const std::function<void(std::int64_t)>& finish)
      : count_(count), work_(work), finish_(finish), done_(static_cast<std::size_t>(count), 0) {}

  // Takes pieces until there are none.
  void run() {
    while (true) {
      const std::int64_t i = next_++;
      if (i >= count_ || stopped_) return;
      try {
        work_(i);
        finish_in_order(i);
      } catch (...) {
        fail(i);
      }
    }
  }

  void rethrow() const {
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  void finish_in_order(std::int64_t i) {
    const std::lock_guard<std::mutex> lock(mutex_);
    done_[static_cast<std::size_t>(i)] = 1;
    while (finished_ < failed_ && finished_ < count_ &&
           done_[static_cast<std::size_t>(finished_)]) {
      finish_(finished_++);
    }
  }

  void fail(std::int64_t i) {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopped_ = true;
    if (i >= failed_) return;
    failed_ = i;
    failure_ = std::current_exception();
  }

  const std::int64_t count_;
  const std::function<void(std::int64_t)>& work_;
  const std::function<void(std::int64_t)>& finish_;
  std::atomic<std::int64_t> next_{0};
  std::atomic<bool> stopped_{false};
  std::mutex mutex_;  // of all that follows
  std::vector<char> done_;
  std::int64_t finished_ = 0;
  std::int64_t failed_ = INT64_MAX;
  std::exception_ptr failure_;
};

}  // namespace

void run_side_by_side(std::int64_t count, std::int64_t workers,
                      const std::function<void(std::int64_t)>& work,
                      const std::function<void(std::int64_t)>& finish) {
  const std::int64_t threads = at::get_num_threads();
  workers =
      std::clamp<std::int64_t>(workers, 1, std::max<std::int64_t>(1, std::min(count, threads)));
  SideBySide state(count, work, finish);
  if (workers == 1) {
    state.run();
    return state.rethrow();
  }
  const at::ThreadLocalState caller;  // whether gradients are wanted, and the like
  std::vector<std::thread> pool;
  for (std::int64_t w = 0; w < workers; ++w) {
    // The first workers get what does not divide evenly.
    const std::int64_t share = threads / workers + (w < threads % workers ? 1 : 0);
    pool.emplace_back([&, share] {
      const at::ThreadLocalStateGuard same_state(caller);
      at::get_num_threads();  // a thread's first call sets the process's number
      omp_set_num_threads(static_cast<int>(share));
      state.run();
    });
  }
  for (std::thread& thread : pool) thread.join();
  state.rethrow();
}

}  // namespace taskneuron

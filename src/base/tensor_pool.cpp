#include "taskneuron/base/tensor_pool.h"

#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/alloc_cpu.h>
#include <malloc.h>
#include <sys/mman.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <unordered_map>

#include "base/torch_compat.h"

namespace taskneuron {

namespace {

constexpr std::size_t kSlack = 16 << 20;
constexpr std::size_t kSmallest = 256 << 10;  // smaller tensors are malloc's business

// Sizes in steps of a quarter of their power of two: batches of nearly the same length ask for the
// same blocks. What is added is rarely touched, so it takes little memory; finer steps fault twice
// as many pages in.
std::size_t rounded_size(std::size_t bytes) {
  std::size_t step = 4096;
  while (step * 8 <= bytes) step *= 2;
  return (bytes + step - 1) / step * step;
}

class Pool {
 public:
  void* take(std::size_t bytes) {
    std::size_t size = rounded_size(bytes);
    const std::lock_guard<std::mutex> lock(mutex_);
    void* block = nullptr;
    const auto found = free_.lower_bound(size);
    if (found != free_.end() && found->first <= 2 * size) {
      block = found->second;
      size = found->first;
      cached_ -= size;
      free_.erase(found);
    } else {
      // Blocks are kept while they fit under the highest need so far and a little, so that keeping
      // them hardly raises the peak.
      const std::size_t most = peak_ + kSlack;
      shrink(most > used_ + size ? most - used_ - size : 0);
      block = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      if (block == MAP_FAILED) throw std::bad_alloc();
    }
    sizes_.emplace(block, size);
    used_ += size;
    peak_ = std::max(peak_, used_);
    return block;
  }

  // False for a block that is not the pool's.
  bool give_back(void* block) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = sizes_.find(block);
    if (found == sizes_.end()) return false;
    free_.emplace(found->second, block);
    cached_ += found->second;
    used_ -= found->second;
    sizes_.erase(found);
    return true;
  }

  // Keeps nothing, and measures the highest need anew.
  void forget() {
    const std::lock_guard<std::mutex> lock(mutex_);
    shrink(0);
    peak_ = used_;
  }

 private:
  // Unmaps blocks, the largest first, until no more than `most` bytes are kept.
  void shrink(std::size_t most) {
    while (cached_ > most) {
      const auto last = std::prev(free_.end());
      munmap(last->second, last->first);
      cached_ -= last->first;
      free_.erase(last);
    }
  }

  std::mutex mutex_;
  std::multimap<std::size_t, void*> free_;  // by size
  std::unordered_map<void*, std::size_t> sizes_;
  std::size_t used_ = 0, cached_ = 0, peak_ = 0;
};

// Never destroyed: tensors in static storage may outlive everything else.
Pool& pool() {
  static Pool* const instance = new Pool;
  return *instance;
}

void release(void* data) {
  if (data != nullptr && !pool().give_back(data)) c10::free_cpu(data);
}

struct PoolAllocator : AnyAllocator {
  c10::DataPtr take(std::size_t bytes) const override {
    void* data = bytes < kSmallest ? c10::alloc_cpu(bytes) : pool().take(bytes);
    return {data, data, &release, c10::Device(c10::kCPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &release; }
};

}  // namespace

void use_tensor_pool() {
#if !defined(__SANITIZE_ADDRESS__)  // which watches malloc's blocks only
  static PoolAllocator allocator;
  c10::SetCPUAllocator(&allocator, /*priority=*/100);
#endif
}

void give_back_freed_memory() {
  pool().forget();
  malloc_trim(0);
}

}  // namespace taskneuron

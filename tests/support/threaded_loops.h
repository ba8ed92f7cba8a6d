// For a build under ThreadSanitizer, before every other header: the loops of at::parallel_for on
// std::thread, whose joins ThreadSanitizer understands, in place of OpenMP, whose barriers it does
// not. Each loop starts its own threads: slow, and every access of a loop's body is seen.
#pragma once

#include <algorithm>
#include <cstdint>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#define INTRA_OP_PARALLEL

namespace at::internal {

// ATen/ParallelOpenMP.h's signature; it defines none without OpenMP.
template <typename F>
inline void invoke_parallel(std::int64_t begin, std::int64_t end, std::int64_t grain_size,
                            const F& f) {
  constexpr std::int64_t kThreads = 4;
  const std::int64_t grain = std::max<std::int64_t>(grain_size, 1);
  const std::int64_t threads = std::min(kThreads, (end - begin + grain - 1) / grain);
  const std::int64_t chunk = (end - begin + threads - 1) / threads;
  std::mutex failing;
  std::exception_ptr failure;
  std::vector<std::thread> pool;
  for (std::int64_t from = begin; from < end; from += chunk) {
    pool.emplace_back([&, from] {
      try {
        f(from, std::min(end, from + chunk));
      } catch (...) {
        const std::lock_guard<std::mutex> lock(failing);
        if (!failure) failure = std::current_exception();
      }
    });
  }
  for (std::thread& thread : pool) thread.join();
  if (failure) std::rethrow_exception(failure);
}

}  // namespace at::internal

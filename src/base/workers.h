#pragma once

#include <cstdint>
#include <functional>

namespace taskneuron {

// Calls work(i) for every i of [0, count), `workers` of them side by side, each with its share of
// the threads that LibTorch's loops have, and finish(i) afterwards: one at a time, in the order of
// i, so that what finish adds up does not depend on the number of workers. One worker is the
// calling thread with all its threads. An exception stops what has not begun; the one of the lowest
// i is thrown here, and nothing at or after that i is finished.
//
// Passes over a batch run side by side rather than each on all threads, because a pass is dozens of
// short loops: at the end of every one all threads wait for the slowest.
void run_side_by_side(std::int64_t count, std::int64_t workers,
                      const std::function<void(std::int64_t)>& work,
                      const std::function<void(std::int64_t)>& finish);

}  // namespace taskneuron

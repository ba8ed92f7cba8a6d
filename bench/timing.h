#pragma once

#include <algorithm>
#include <chrono>
#include <vector>

namespace taskneuron::bench {

// Median seconds of `rounds` calls, after one that is not counted.
template <typename Action>
double median_seconds(int rounds, const Action& action) {
  action();
  std::vector<double> seconds;
  for (int i = 0; i < rounds; ++i) {
    const auto start = std::chrono::steady_clock::now();
    action();
    seconds.push_back(
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  std::nth_element(seconds.begin(), seconds.begin() + rounds / 2, seconds.end());
  return seconds[static_cast<std::size_t>(rounds / 2)];
}

}  // namespace taskneuron::bench

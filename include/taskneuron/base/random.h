#pragma once

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace taskneuron {

// A seeded stream of random numbers, the same on every platform (splitmix64, Steele et al. 2014;
// the standard library's distributions are not portable). Streams with different names are
// independent, so that adding a draw in one place never shifts the numbers of another.
class Random {
 public:
  Random(std::uint64_t seed, std::string_view stream);

  std::uint64_t next();
  // Uniform in [0, bound) without modulo bias. REQUIRES bound > 0.
  std::uint64_t below(std::uint64_t bound);
  // Uniform in [0, 1), 53 random bits.
  double uniform();
  // `count` different values of [0, population), ascending. REQUIRES count <= population.
  std::vector<std::int64_t> sample(std::int64_t population, std::int64_t count);
  // Puts a list in random order (Fisher & Yates), every order as likely.
  template <typename T>
  void shuffle(std::vector<T>& list) {
    for (std::size_t i = list.size(); i > 1; --i) {
      std::swap(list[i - 1], list[static_cast<std::size_t>(below(i))]);
    }
  }

 private:
  std::uint64_t state_;
};

}  // namespace taskneuron

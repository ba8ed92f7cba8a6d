#include "taskneuron/base/random.h"

#include <algorithm>
#include <numeric>

#include "base/check.h"

namespace taskneuron {

Random::Random(std::uint64_t seed, std::string_view stream) : state_(seed) {
  std::uint64_t name_hash = 0xcbf29ce484222325ULL;  // FNV-1a
  for (const char c : stream) {
    name_hash = (name_hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  }
  state_ = next() ^ name_hash;
}

std::uint64_t Random::next() {
  std::uint64_t z = (state_ += 0x9e3779b97f4a7c15ULL);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

std::uint64_t Random::below(std::uint64_t bound) {
  TN_CHECK_GT(bound, 0);
  const std::uint64_t excess = (0 - bound) % bound;  // 2^64 mod bound
  std::uint64_t value = next();
  while (value < excess) value = next();
  return value % bound;
}

double Random::uniform() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }

std::vector<std::int64_t> Random::sample(std::int64_t population, std::int64_t count) {
  TN_CHECK_GE(count, 0);
  TN_CHECK_LE(count, population);
  std::vector<std::int64_t> values(static_cast<std::size_t>(population));
  std::iota(values.begin(), values.end(), 0);
  for (std::int64_t i = 0; i < count; ++i) {
    const auto j = i + static_cast<std::int64_t>(below(static_cast<std::uint64_t>(population - i)));
    std::swap(values[static_cast<std::size_t>(i)], values[static_cast<std::size_t>(j)]);
  }
  values.resize(static_cast<std::size_t>(count));
  std::sort(values.begin(), values.end());
  return values;
}

}  // namespace taskneuron

#include "taskneuron/base/memory.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "taskneuron/base/error.h"

namespace taskneuron {

namespace {

// The value of "Name:   123 kB" in a file of /proc, in bytes; -1 if it is not there.
std::int64_t proc_bytes(const char* path, const std::string& name) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (line.rfind(name + ":", 0) != 0) continue;
    return std::atoll(line.c_str() + name.size() + 1) * 1024;
  }
  return -1;
}

// The number in a control group's file; -1 if there is none or no limit.
std::int64_t group_bytes(const char* path) {
  std::ifstream file(path);
  std::int64_t value = -1;
  return file >> value ? value : -1;
}

}  // namespace

std::int64_t available_memory() {
  std::int64_t available = proc_bytes("/proc/meminfo", "MemAvailable");
  if (available < 0) {
    available = static_cast<std::int64_t>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE);
  }
  const std::int64_t limit = group_bytes("/sys/fs/cgroup/memory.max");
  const std::int64_t used = group_bytes("/sys/fs/cgroup/memory.current");
  if (limit >= 0 && used >= 0)
    available = std::min(available, std::max<std::int64_t>(0, limit - used));
  return available;
}

// Counts of pages: size, resident, of them backed by files. Cheaper than /proc/self/status, which
// matters to who looks every few milliseconds beside threads that wait for each other.
std::int64_t anonymous_memory() {
  static const int file = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
  char text[128] = {};
  if (file < 0 || pread(file, text, sizeof(text) - 1, 0) <= 0) return 0;
  long long size = 0, resident = 0, shared = 0;
  if (std::sscanf(text, "%lld %lld %lld", &size, &resident, &shared) != 3) return 0;
  return (resident - shared) * sysconf(_SC_PAGESIZE);
}

AnonymousPeak::AnonymousPeak() {
  look();
  watcher_ = std::thread([this] {
    while (!finished_) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
      look();
    }
  });
}

AnonymousPeak::~AnonymousPeak() {
  finished_ = true;
  watcher_.join();
}

void AnonymousPeak::look() {
  const std::int64_t now = anonymous_memory();
  if (now > peak_) peak_ = now;
}

std::int64_t AnonymousPeak::bytes() const { return peak_; }

std::int64_t parse_bytes(const std::string& text, const std::string& option) {
  std::istringstream in(text);
  double value = 0;
  std::string unit, rest;
  in >> value >> unit >> rest;
  std::transform(unit.begin(), unit.end(), unit.begin(), [](char c) {
    return static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  });
  double factor = 0;
  if (unit.empty() || unit == "B") factor = 1;
  if (unit == "K" || unit == "KB" || unit == "KIB") factor = 1LL << 10;
  if (unit == "M" || unit == "MB" || unit == "MIB") factor = 1LL << 20;
  if (unit == "G" || unit == "GB" || unit == "GIB") factor = 1LL << 30;
  if (unit == "T" || unit == "TB" || unit == "TIB") factor = 1LL << 40;
  if (factor == 0 || !rest.empty() || !(value > 0) || value * factor > 9e18) {
    throw UsageError(option, text, "800M or 1.5G", "is not an amount of memory");
  }
  return static_cast<std::int64_t>(value * factor);
}

std::string format_bytes(std::int64_t bytes) {
  return bytes < (1 << 30) ? fmt::format("{:.1f} MiB", static_cast<double>(bytes) / (1 << 20))
                           : fmt::format("{:.2f} GiB", static_cast<double>(bytes) / (1 << 30));
}

}  // namespace taskneuron

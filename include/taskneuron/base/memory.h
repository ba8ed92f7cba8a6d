#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <thread>

namespace taskneuron {

// Memory that this process may still take without pushing others (or itself) to swap: what the
// kernel says is available, or less under a control group's limit. Bytes.
std::int64_t available_memory();

// Resident pages of this process that no file backs: everything but mapped weights and libraries.
// Bytes; 0 where the system does not tell.
std::int64_t anonymous_memory();

// Highest anonymous_memory() of its lifetime, looked at every few milliseconds.
class AnonymousPeak {
 public:
  AnonymousPeak();
  ~AnonymousPeak();
  AnonymousPeak(const AnonymousPeak&) = delete;
  AnonymousPeak& operator=(const AnonymousPeak&) = delete;

  std::int64_t bytes() const;

 private:
  void look();

  std::atomic<std::int64_t> peak_{0};
  std::atomic<bool> finished_{false};
  std::thread watcher_;
};

// "800M", "1.5G", "2GiB", "1048576": bytes, in powers of 1024. Throws UsageError naming `option`.
std::int64_t parse_bytes(const std::string& text, const std::string& option);
// "536.2 MiB", "1.50 GiB".
std::string format_bytes(std::int64_t bytes);

}  // namespace taskneuron

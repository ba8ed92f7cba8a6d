#pragma once

#include <fcntl.h>
#include <unistd.h>

namespace taskneuron {

// While one lives, whatever goes to a descriptor goes nowhere.
class Silence {
 public:
  explicit Silence(int descriptor)
      : descriptor_(descriptor), kept_(::fcntl(descriptor, F_DUPFD_CLOEXEC, 3)) {
    const int nothing = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
    ::dup2(nothing, descriptor_);
    ::close(nothing);
  }
  void end() {
    if (kept_ < 0) return;
    ::dup2(kept_, descriptor_);
    ::close(kept_);
    kept_ = -1;
  }
  // What is to be silent beyond its life.
  void forever() {
    if (kept_ >= 0) ::close(kept_);
    kept_ = -1;
  }
  ~Silence() { end(); }
  Silence(const Silence&) = delete;
  Silence& operator=(const Silence&) = delete;

 private:
  int descriptor_, kept_;
};

}  // namespace taskneuron

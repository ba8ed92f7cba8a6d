#include "base/temporaries.h"

#include <set>

namespace taskneuron {

namespace fs = std::filesystem;

namespace {

// Never destroyed: the thread that cleans up may outlive main.
std::mutex& mutex() {
  static auto* const the = new std::mutex;
  return *the;
}

std::set<fs::path>& known() {
  static auto* const the = new std::set<fs::path>;
  return *the;
}

}  // namespace

std::unique_lock<std::mutex> hold_temporaries() { return std::unique_lock(mutex()); }

void remember_temporary(const fs::path& path) { known().insert(fs::absolute(path)); }

void forget_temporary(const fs::path& path) { known().erase(fs::absolute(path)); }

void remove_temporaries() {
  for (const fs::path& path : known()) {
    std::error_code ignored;
    fs::remove_all(path, ignored);
  }
  known().clear();
}

}  // namespace taskneuron

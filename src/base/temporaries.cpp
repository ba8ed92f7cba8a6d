#include "base/temporaries.h"

#include <unistd.h>

#include <set>

namespace taskneuron {

namespace fs = std::filesystem;

namespace {

// Never destroyed: the thread that cleans up may outlive main.
std::mutex& mutex() {
  static auto* const the = new std::mutex;
  return *the;
}

struct Paths {
  std::set<fs::path> temporary;
  std::set<fs::path> made;  // folders; those above come first
  std::set<fs::path> complete;
};

Paths& known() {
  static auto* const the = new Paths;
  return *the;
}

}  // namespace

std::unique_lock<std::mutex> hold_temporaries() { return std::unique_lock(mutex()); }

void remember_temporary(const fs::path& path) { known().temporary.insert(fs::absolute(path)); }

void forget_temporary(const fs::path& path) { known().temporary.erase(fs::absolute(path)); }

void remember_made_folder(const fs::path& path) { known().made.insert(fs::absolute(path)); }

void forget_made_folder(const fs::path& path) { known().made.erase(fs::absolute(path)); }

void exchange_temporary(const fs::path& temporary, const fs::path& path) {
  forget_temporary(temporary);
  known().complete.insert(path);
}

void remove_temporaries() {
  Paths& paths = known();
  for (const fs::path& path : paths.temporary) {
    std::error_code ignored;
    fs::remove_all(path, ignored);
  }
  for (auto folder = paths.made.rbegin(); folder != paths.made.rend(); ++folder) {
    ::rmdir(folder->c_str());  // not one that holds anything
  }
  paths.temporary.clear();
  paths.made.clear();
}

std::vector<fs::path> complete_paths() {
  std::vector<fs::path> paths;
  for (const fs::path& path : known().complete) {
    std::error_code ignored;
    if (fs::exists(path, ignored)) paths.push_back(path);
  }
  return paths;
}

}  // namespace taskneuron

#pragma once

#include <filesystem>

namespace taskneuron {

// A folder that this process alone works in, until the lock goes or the process ends, however it
// does. Where a file system has no locks (some network ones), there is none.
class FolderLock {
 public:
  // Throws Error naming the process that works in it now. REQUIRES a folder.
  explicit FolderLock(const std::filesystem::path& folder);
  ~FolderLock();
  FolderLock(FolderLock&& other) noexcept;
  FolderLock& operator=(FolderLock&&) = delete;

 private:
  int descriptor_ = -1;
};

}  // namespace taskneuron

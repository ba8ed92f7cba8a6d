#include "base/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <fstream>

#include "base/temporaries.h"
#include "taskneuron/base/error.h"

namespace taskneuron {

namespace fs = std::filesystem;

namespace {

std::string system_message() { return std::strerror(errno); }

// Opens for reading, refusing what is not a regular file; returns descriptor and size.
std::pair<int, std::size_t> open_regular(const fs::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) {
    throw Error(fmt::format("{}: cannot be opened: {}", path.string(), system_message()));
  }
  struct stat status {};
  if (::fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode)) {
    ::close(descriptor);
    throw Error(fmt::format("{}: not a regular file", path.string()));
  }
  return {descriptor, static_cast<std::size_t>(status.st_size)};
}

fs::path folder_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

fs::path temporary_name(const fs::path& path) {
  static std::atomic<int> counter{0};
  return folder_of(path) /
         fmt::format(".{}.{}.{}.tmp", path.filename().string(), ::getpid(), counter++);
}

}  // namespace

MappedFile::MappedFile(const fs::path& path) : path_(path) {
  const auto [descriptor, size] = open_regular(path);
  size_bytes_ = size;
  if (size > 0) {
    void* address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor, 0);
    if (address == MAP_FAILED) {
      const std::string why = system_message();
      ::close(descriptor);
      throw Error(fmt::format("{}: cannot be mapped: {}", path.string(), why));
    }
    data_ = static_cast<const std::byte*>(address);
  }
  ::close(descriptor);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_bytes_);
}

void MappedFile::release(const char* begin, std::size_t bytes) const {
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto first = (reinterpret_cast<std::uintptr_t>(begin) + page - 1) / page * page;
  const auto last = (reinterpret_cast<std::uintptr_t>(begin) + bytes) / page * page;
  if (last > first) ::madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
}

std::string read_file(const fs::path& path, std::size_t max_bytes) {
  const auto [descriptor, size] = open_regular(path);
  ::close(descriptor);
  if (size > max_bytes) {
    throw Error(fmt::format("{}: {} bytes is more than the {} that such a file may have",
                            path.string(), size, max_bytes));
  }
  std::ifstream stream(path, std::ios::binary);
  std::string text(size, '\0');
  stream.read(text.data(), static_cast<std::streamsize>(size));
  if (!stream) throw Error(fmt::format("{}: cannot be read to its end", path.string()));
  return text;
}

AtomicFile::AtomicFile(fs::path path) : path_(std::move(path)), temporary_(temporary_name(path_)) {
  if (fs::is_directory(path_)) {
    throw Error(fmt::format("{}: is a folder; a file name was expected", path_.string()));
  }
  const auto lock = hold_temporaries();
  descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (descriptor_ < 0) fail("written");
  remember_temporary(temporary_);
}

AtomicFile::~AtomicFile() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  const auto lock = hold_temporaries();
  ::unlink(temporary_.c_str());
  forget_temporary(temporary_);
}

void AtomicFile::fail(const char* action) const {
  throw Error(fmt::format("{}: cannot be {}: {}", path_.string(), action, system_message()));
}

void AtomicFile::write(const void* data, std::size_t bytes) {
  const char* cursor = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t written = ::write(descriptor_, cursor, bytes);
    if (written < 0) {
      if (errno == EINTR) continue;
      fail("written");
    }
    cursor += written;
    bytes -= static_cast<std::size_t>(written);
  }
}

void AtomicFile::commit() {
  if (::fsync(descriptor_) != 0) fail("synced");
  {
    const auto lock = hold_temporaries();
    if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail("renamed into place");
    forget_temporary(temporary_);
  }
  ::close(descriptor_);
  descriptor_ = -1;
  const int folder = ::open(folder_of(path_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder >= 0) {
    ::fsync(folder);
    ::close(folder);
  }
}

AtomicFolder::AtomicFolder(fs::path path) : path_(std::move(path)) {
  if (fs::exists(path_)) {
    throw Error(
        fmt::format("{}: exists already; choose another folder or remove it", path_.string()));
  }
  std::error_code failure;
  fs::create_directories(folder_of(path_), failure);
  temporary_ = temporary_name(path_);
  const auto lock = hold_temporaries();
  fs::create_directory(temporary_, failure);
  if (failure) {
    throw Error(fmt::format("{}: cannot be created: {}", path_.string(), failure.message()));
  }
  remember_temporary(temporary_);
}

AtomicFolder::~AtomicFolder() {
  std::error_code ignored;
  if (committed_) return;
  const auto lock = hold_temporaries();
  fs::remove_all(temporary_, ignored);
  forget_temporary(temporary_);
}

void AtomicFolder::commit() {
  std::error_code failure;
  const auto lock = hold_temporaries();
  fs::rename(temporary_, path_, failure);
  if (failure) {
    throw Error(fmt::format("{}: cannot be written: {}", path_.string(), failure.message()));
  }
  forget_temporary(temporary_);
  committed_ = true;
}

void write_file(const fs::path& path, std::string_view text) {
  AtomicFile file(path);
  file.write(text);
  file.commit();
}

void require_writable(const fs::path& path) { AtomicFile{path}; }

}  // namespace taskneuron

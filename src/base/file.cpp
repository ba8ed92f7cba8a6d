#include "base/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <tuple>

#include "base/temporaries.h"
#include "taskneuron/base/error.h"

namespace taskneuron {

namespace fs = std::filesystem;

namespace {

std::string system_message() { return std::strerror(errno); }

// Opens for reading, refusing what is not a regular file; returns descriptor and size.
std::pair<int, std::size_t> open_regular(const fs::path& path) {
  if (path.native().find('\0') != std::string::npos) {
    throw Error(fmt::format("'{}': a path with a zero byte names no file", path.c_str()));
  }
  // Opening a FIFO must not wait for a writer.
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
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

fs::path without_trailing_slash(fs::path path) {
  return path.has_filename() || !path.has_parent_path() ? path : path.parent_path();
}

fs::path temporary_name(const fs::path& path) {
  static std::atomic<int> counter{0};
  return folder_of(path) /
         fmt::format(".{}.{}.{}.tmp", path.filename().string(), ::getpid(), counter++);
}

const char* kind_of(fs::file_type type) {
  switch (type) {
    case fs::file_type::directory: return "folder";
    case fs::file_type::symlink: return "symbolic link";
    case fs::file_type::fifo: return "FIFO";
    case fs::file_type::socket: return "socket";
    case fs::file_type::character:
    case fs::file_type::block: return "device";
    default: return "file of an unknown kind";
  }
}

// Links are not followed: what would be replaced is the link.
fs::file_type type_of(const fs::path& path) {
  std::error_code ignored;
  return fs::symlink_status(path, ignored).type();
}

void require_replaceable(const fs::path& path, Existing existing) {
  if (!path.has_filename()) {
    throw Error(fmt::format("'{}': is no file name; name the file to write", path.string()));
  }
  const fs::file_type type = type_of(path);
  if (type == fs::file_type::not_found || type == fs::file_type::none) return;
  if (type != fs::file_type::regular) {
    throw Error(
        fmt::format("{}: is a {}; only a regular file is ever replaced, so name another path",
                    path.string(), kind_of(type)));
  }
  if (existing == Existing::kRefuse) {
    throw Error(fmt::format("{}: exists already; `force` replaces it, or name another file",
                            path.string()));
  }
}

void require_no_folder(const fs::path& path) {
  const fs::file_type type = type_of(path);
  if (type == fs::file_type::not_found || type == fs::file_type::none) return;
  std::error_code failure;
  if (type == fs::file_type::directory && fs::is_empty(path, failure)) return;
  throw Error(fmt::format("{}: exists already; choose another folder or remove it", path.string()));
}

// Makes and removes a file beside where `path` will be: no other test is right on every file
// system.
void require_place(const fs::path& path) {
  fs::path there = folder_of(fs::absolute(path).lexically_normal());
  while (type_of(there) == fs::file_type::not_found && there.has_relative_path()) {
    there = there.parent_path();
  }
  const fs::path probe = temporary_name(there / path.filename());
  const auto lock = hold_temporaries();  // a signal's clean-up comes before or after the probe
  const int descriptor = ::open(probe.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (descriptor < 0) {
    throw Error(fmt::format("{}: cannot be written: {}: {}", path.string(), there.string(),
                            system_message()));
  }
  ::close(descriptor);
  ::unlink(probe.c_str());
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
  InputFile file(path);
  if (file.size_bytes() > max_bytes) {
    throw Error(fmt::format("{}: {} bytes is more than the {} that such a file may have",
                            path.string(), file.size_bytes(), max_bytes));
  }
  std::string text(file.size_bytes(), '\0');
  std::size_t held = 0;
  while (held < text.size()) {
    const std::size_t got = file.read(text.data() + held, text.size() - held);
    if (got == 0) throw Error(fmt::format("{}: cannot be read to its end", path.string()));
    held += got;
  }
  return text;
}

InputFile::InputFile(const fs::path& path) : path_(path) {
  std::tie(descriptor_, size_bytes_) = open_regular(path);
}

InputFile::~InputFile() { ::close(descriptor_); }

std::size_t InputFile::read(char* to, std::size_t bytes) {
  while (true) {
    const ssize_t got = ::read(descriptor_, to, bytes);
    if (got >= 0) return static_cast<std::size_t>(got);
    if (errno != EINTR) {
      throw Error(fmt::format("{}: cannot be read: {}", path_.string(), system_message()));
    }
  }
}

LineReader::LineReader(const fs::path& path, std::size_t max_bytes)
    : file_(path), max_bytes_(max_bytes), where_(path.string()) {}

bool LineReader::next(std::string& line) {
  line.clear();
  bool any = false;
  while (true) {
    if (begin_ == buffer_.size()) {
      buffer_.resize(kBufferBytes);
      buffer_.resize(file_.read(buffer_.data(), buffer_.size()));
      begin_ = 0;
      if (buffer_.empty()) break;
    }
    if (!any) ++number_;
    any = true;
    const std::size_t end = std::min(buffer_.find('\n', begin_), buffer_.size());
    if (line.size() + end - begin_ > max_bytes_) {
      throw Error(fmt::format("{}: a line of more than {} bytes", where(), max_bytes_));
    }
    line.append(buffer_, begin_, end - begin_);
    begin_ = end;
    if (end == buffer_.size()) continue;
    ++begin_;
    break;
  }
  return any;
}

std::string LineReader::where() const { return fmt::format("{}:{}", where_, number_); }

void require_writable(const fs::path& path, Existing existing) {
  require_replaceable(path, existing);
  require_place(path);
}

void require_new_folder(const fs::path& given) {
  const fs::path path = without_trailing_slash(given);
  require_no_folder(path);
  require_place(path);
}

ParentFolders::ParentFolders(const fs::path& path) {
  std::vector<fs::path> missing;
  for (fs::path folder = path.parent_path(); !folder.empty(); folder = folder.parent_path()) {
    std::error_code ignored;
    if (fs::exists(folder, ignored) || folder == folder.parent_path()) break;
    if (folder.has_filename()) missing.push_back(folder);
  }
  std::reverse(missing.begin(), missing.end());
  for (const fs::path& folder : missing) {
    std::error_code failure;
    if (fs::create_directory(folder, failure)) {
      made_.push_back(folder);
      remember_made_folder(folder);
    }
    if (!failure) continue;
    const std::string why = failure.message();
    remove();
    throw Error(fmt::format("{}: cannot be created: {}", folder.string(), why));
  }
}

ParentFolders::~ParentFolders() {
  const auto lock = hold_temporaries();
  remove();
}

void ParentFolders::keep() {
  for (const fs::path& folder : made_) forget_made_folder(folder);
  made_.clear();
}

void ParentFolders::remove() {
  for (auto it = made_.rbegin(); it != made_.rend(); ++it) ::rmdir(it->c_str());
  keep();
}

AtomicFile::AtomicFile(fs::path path, Existing existing)
    : path_(std::move(path)), existing_(existing) {
  require_replaceable(path_, existing);
  temporary_ = temporary_name(path_);
  const auto lock = hold_temporaries();
  parents_ = std::make_unique<ParentFolders>(path_);
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

void AtomicFile::rename_into_place() const {
  require_replaceable(path_, existing_);
  if (existing_ == Existing::kRefuse) {
    // Refuses even what appears this very moment, where the file system can.
    if (::renameat2(AT_FDCWD, temporary_.c_str(), AT_FDCWD, path_.c_str(), RENAME_NOREPLACE) == 0)
      return;
    if (errno != EINVAL && errno != ENOSYS) fail("renamed into place");
  }
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail("renamed into place");
}

void AtomicFile::commit() {
  if (::fsync(descriptor_) != 0) fail("synced");
  {
    const auto lock = hold_temporaries();
    rename_into_place();
    exchange_temporary(temporary_, path_);
    parents_->keep();
  }
  ::close(descriptor_);
  descriptor_ = -1;
  const int folder = ::open(folder_of(path_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder >= 0) {
    ::fsync(folder);
    ::close(folder);
  }
}

AtomicFolder::AtomicFolder(fs::path path) : path_(without_trailing_slash(std::move(path))) {
  require_no_folder(path_);
  temporary_ = temporary_name(path_);
  std::error_code failure;
  const auto lock = hold_temporaries();
  parents_ = std::make_unique<ParentFolders>(path_);
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
  require_no_folder(path_);
  std::error_code failure;
  const auto lock = hold_temporaries();
  fs::rename(temporary_, path_, failure);
  if (failure) {
    throw Error(fmt::format("{}: cannot be written: {}", path_.string(), failure.message()));
  }
  exchange_temporary(temporary_, path_);
  committed_ = true;
  parents_->keep();
}

bool is_free_folder(const fs::path& folder, const std::string& file) {
  std::error_code failure;
  if (!fs::is_directory(folder, failure)) return false;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, failure)) {
    const std::string name = entry.path().filename().string();
    if (name.rfind("." + file + ".", 0) != 0 || entry.path().extension() != ".tmp") return false;
  }
  return !failure;
}

void remove_leftovers(const fs::path& folder) {
  std::error_code ignored;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, ignored)) {
    const bool hidden = entry.path().filename().string().front() == '.';
    if (hidden && entry.path().extension() == ".tmp" && entry.is_regular_file(ignored)) {
      fs::remove(entry.path(), ignored);
    }
  }
}

void write_file(const fs::path& path, std::string_view text, Existing existing) {
  AtomicFile file(path, existing);
  file.write(text);
  file.commit();
}

}  // namespace taskneuron

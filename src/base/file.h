#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "taskneuron/base/existing.h"

namespace taskneuron {

// A whole file mapped read-only for as long as this lives. Pages are shared between processes and
// read when touched.
class MappedFile {
 public:
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  // Drops whole pages of [begin, begin + bytes) from memory; reading them again maps them again.
  void release(const char* begin, std::size_t bytes) const;

  const std::byte* data() const { return data_; }
  std::size_t size_bytes() const { return size_bytes_; }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  const std::byte* data_ = nullptr;
  std::size_t size_bytes_ = 0;
};

// Reads a text file whole. Throws Error when it is missing, a folder, unreadable, or larger than
// max_bytes (configuration and vocabulary files have no business being larger).
std::string read_file(const std::filesystem::path& path, std::size_t max_bytes = 1u << 28);

// A regular file that is read from front to back. Opening never waits: no FIFO, device or folder.
class InputFile {
 public:
  explicit InputFile(const std::filesystem::path& path);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  std::size_t size_bytes() const { return size_bytes_; }  // when it was opened
  // How many bytes there were; 0 at the end.
  std::size_t read(char* to, std::size_t bytes);

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
  std::size_t size_bytes_ = 0;
};

// A text file line by line, with no more of it in memory than a line.
class LineReader {
 public:
  // A line longer than max_bytes is no example of anything: it is refused before it is held.
  explicit LineReader(const std::filesystem::path& path, std::size_t max_bytes = 64u << 20);

  // The next line, without its end; false where there is none.
  bool next(std::string& line);
  std::int64_t number() const { return number_; }  // of the last line, from 1
  std::string where() const;                       // "path:number"

 private:
  static constexpr std::size_t kBufferBytes = 1u << 16;

  InputFile file_;
  std::size_t max_bytes_;
  std::string where_;
  std::string buffer_;
  std::size_t begin_ = 0;  // of what is left in the buffer
  std::int64_t number_ = 0;
};

// Throws Error unless a file can be written at path by that rule, so that a long run does not end
// in a failed save. Leaves nothing behind.
void require_writable(const std::filesystem::path& path, Existing existing);
// The same for a folder that is made whole: nothing may lie there but an empty folder.
void require_new_folder(const std::filesystem::path& path);

// The folders above a path that were missing. Made at once; those that are empty are removed at the
// end, and by a signal's clean-up, unless keep() was called.
class ParentFolders {
 public:
  // REQUIRES hold_temporaries(), as keep() does.
  explicit ParentFolders(const std::filesystem::path& path);
  ~ParentFolders();
  ParentFolders(const ParentFolders&) = delete;
  ParentFolders& operator=(const ParentFolders&) = delete;
  void keep();

 private:
  void remove();

  std::vector<std::filesystem::path> made_;  // the outermost first
};

// A file that appears under its final name only when it is complete: written to a temporary name
// in the same folder, synced, renamed. Dropped without commit() it leaves nothing behind.
class AtomicFile {
 public:
  // Opens the temporary file at once, so that an unwritable place is an Error before any work.
  explicit AtomicFile(std::filesystem::path path, Existing existing = Existing::kReplace);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(const void* data, std::size_t bytes);
  void write(std::string_view text) { write(text.data(), text.size()); }
  // Throws Error if something that must not be replaced has come to lie at the path since.
  void commit();

 private:
  [[noreturn]] void fail(const char* action) const;
  void rename_into_place() const;

  std::filesystem::path path_;
  Existing existing_;
  std::unique_ptr<ParentFolders> parents_;
  std::filesystem::path temporary_;
  int descriptor_ = -1;
};

// A folder that appears under its name only when it is complete, and is removed again otherwise.
class AtomicFolder {
 public:
  // Throws Error if something lies at path already or it cannot be created.
  explicit AtomicFolder(std::filesystem::path path);
  ~AtomicFolder();
  AtomicFolder(const AtomicFolder&) = delete;
  AtomicFolder& operator=(const AtomicFolder&) = delete;

  // Where to put the files until commit().
  const std::filesystem::path& temporary() const { return temporary_; }
  void commit();

 private:
  std::filesystem::path path_;
  std::unique_ptr<ParentFolders> parents_;
  std::filesystem::path temporary_;
  bool committed_ = false;
};

// What killed writers left in a folder: temporary files of AtomicFile, of one file or of any.
// is_free_folder: whether the folder holds nothing else, or nothing, so that what begins with
// writing `file` there may begin again.
bool is_free_folder(const std::filesystem::path& folder, const std::string& file);
// REQUIRES a folder that this program made. Leaves folders in it alone.
void remove_leftovers(const std::filesystem::path& folder);

void write_file(const std::filesystem::path& path, std::string_view text,
                Existing existing = Existing::kReplace);

}  // namespace taskneuron

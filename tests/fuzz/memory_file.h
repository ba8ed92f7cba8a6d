#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

// A file in memory that each input is written to, for what reads from files.
class MemoryFile {
 public:
  MemoryFile() : descriptor_(memfd_create("fuzz", MFD_CLOEXEC)) {
    if (descriptor_ < 0) std::abort();
  }

  void write(std::string_view content) {
    if (ftruncate(descriptor_, 0) != 0) std::abort();
    append(content, 0);
  }
  // A safetensors file: the header up to the first zero byte, its length before it; the data after.
  void write_tensors(std::string_view input) {
    const std::size_t end = std::min(input.find('\0'), input.size());
    const std::uint64_t length = end;
    char bytes[8];
    for (int i = 0; i < 8; ++i) bytes[i] = static_cast<char>(length >> (8 * i));
    if (ftruncate(descriptor_, 0) != 0) std::abort();
    append({bytes, 8}, 0);
    append(input.substr(0, end), 8);
    if (end < input.size()) append(input.substr(end + 1), 8 + end);
  }

  std::filesystem::path path() const { return "/proc/self/fd/" + std::to_string(descriptor_); }

 private:
  void append(std::string_view content, std::size_t at) {
    while (!content.empty()) {
      const ssize_t written =
          pwrite(descriptor_, content.data(), content.size(), static_cast<off_t>(at));
      if (written <= 0) std::abort();
      content.remove_prefix(static_cast<std::size_t>(written));
      at += static_cast<std::size_t>(written);
    }
  }

  int descriptor_;
};

// A safetensors file as write_tensors takes it.
inline void write_tensors_seed(const std::filesystem::path& file,
                               const std::filesystem::path& seed) {
  std::ifstream in(file, std::ios::binary);
  const std::string all((std::istreambuf_iterator<char>(in)), {});
  std::uint64_t length = 0;
  for (int i = 7; i >= 0; --i)
    length = length << 8 | static_cast<unsigned char>(all.at(static_cast<std::size_t>(i)));
  std::ofstream(seed, std::ios::binary) << all.substr(8, length) << '\0' << all.substr(8 + length);
}

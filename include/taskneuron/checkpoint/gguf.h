#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace taskneuron {

class MappedFile;
struct GgufType;

// A list in a GGUF file's metadata, as it lies there; borrows the file.
struct GgufArray {
  std::uint32_t type = 0;  // of its items, as the file numbers them
  std::int64_t count = 0;
  std::string_view bytes;
};

// Metadata by key, with the file's name for errors. A value that is missing, of another type, or
// out of range throws Error naming file and key.
class GgufMetadata {
 public:
  using Value = std::variant<std::int64_t, double, bool, std::string_view, GgufArray>;

  explicit GgufMetadata(std::string where) : where_(std::move(where)) {}

  bool contains(const std::string& key) const { return values_.count(key) != 0; }
  std::int64_t integer(const std::string& key) const;
  double number(const std::string& key) const;  // an integer too
  bool boolean(const std::string& key) const;
  std::string string(const std::string& key) const;
  std::vector<std::string_view> strings(const std::string& key) const;
  std::vector<double> numbers(const std::string& key) const;
  std::int64_t integer_or(const std::string& key, std::int64_t fallback) const;
  double number_or(const std::string& key, double fallback) const;
  bool boolean_or(const std::string& key, bool fallback) const;

  const std::string& where() const { return where_; }
  [[noreturn]] void fail(const std::string& key, const std::string& problem) const;

  // Throws Error if the key is there already.
  void add(const std::string& key, Value value);

 private:
  template <typename T>
  const T& get(const std::string& key, const char* expected) const;

  std::string where_;
  std::map<std::string, Value> values_;
};

// Where a tensor lies in a GGUF file.
struct GgufTensor {
  const GgufType* type = nullptr;
  std::vector<std::int64_t> shape;  // outermost first, as LibTorch has it
  std::uint64_t begin = 0;          // bytes of the file
  std::uint64_t end = 0;
};

// A GGUF file (ggml-org/ggml, docs/gguf.md; versions 2 and 3, little-endian), mapped. Opening reads
// the header alone and checks every claim against the file: sizes, offsets, overlaps, types.
// Immutable and thread-safe. Throws Error naming file, and key or tensor.
class GgufFile {
 public:
  explicit GgufFile(const std::filesystem::path& path);

  const GgufMetadata& metadata() const { return metadata_; }
  const std::map<std::string, GgufTensor>& tensors() const { return tensors_; }
  const std::filesystem::path& path() const;
  bool contains(const std::string& name) const { return tensors_.count(name) != 0; }

  // The tensor's numbers as float32, equal to the last bit to what the Python package gguf makes of
  // them; its pages are dropped from memory.
  at::Tensor tensor(const std::string& name) const;
  // Of its first dimension [begin, end) alone.
  at::Tensor rows(const std::string& name, std::int64_t begin, std::int64_t end) const;
  std::int64_t tensor_bytes() const;  // of all tensors, as they lie in the file
  std::string type_name(
      const std::string& name) const;  // how a tensor's numbers are stored: "Q4_K"
  // SHA-256 of the header and of the first and last 4 KiB of every tensor, in hexadecimal digits.
  std::string fingerprint() const;

 private:
  std::shared_ptr<const MappedFile> file_;
  GgufMetadata metadata_;
  std::map<std::string, GgufTensor> tensors_;
};

}  // namespace taskneuron

#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace taskneuron {

class MappedFile;

// Where one tensor lies in a safetensors file. begin and end count bytes from the end of the
// header.
struct TensorEntry {
  at::ScalarType dtype = at::kFloat;
  std::vector<std::int64_t> shape;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

// A safetensors file (the format of the library of that name), mapped. Opening reads the header
// alone and checks every offset against the file: overlaps are refused, gaps tolerated. Immutable
// and thread-safe. Throws Error naming file and tensor.
class SafetensorsFile {
 public:
  // expected: what the error for a text file says it should have been.
  explicit SafetensorsFile(const std::filesystem::path& path,
                           const std::string& expected = "a safetensors file");

  const std::map<std::string, TensorEntry>& entries() const { return entries_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  const std::filesystem::path& path() const;
  bool contains(const std::string& name) const { return entries_.count(name) != 0; }

  // The tensor where it is mapped (read-only; it keeps the mapping alive), or a copy if its bytes
  // are not aligned to its element size.
  at::Tensor tensor(const std::string& name) const;

  // Lets the kernel drop a tensor's pages from memory; they are read again when touched.
  void release(const std::string& name) const;

  // The header as it stands in the file, and a tensor's bytes; for hashing.
  std::string_view header() const;
  std::string_view bytes(const std::string& name) const;

 private:
  void refuse_text(const std::string& expected) const;
  void read_header(const std::string& expected);

  std::shared_ptr<const MappedFile> file_;
  std::uint64_t header_bytes_ = 0;
  std::map<std::string, TensorEntry> entries_;
  std::map<std::string, std::string> metadata_;
};

// A copy of a file's tensor. Throws Error unless it has this type, this shape and finite values.
at::Tensor read_tensor(const std::filesystem::path& path, const std::string& name,
                       at::ScalarType dtype, const std::vector<std::int64_t>& shape);

// A tensor that is made when its turn to be written comes.
struct TensorSource {
  std::string name;
  at::ScalarType dtype = at::kFloat;
  std::vector<std::int64_t> shape;
  std::function<at::Tensor()> make;
  // In its place: makes the tensor's slices along the first dimension, one after another.
  std::vector<std::function<at::Tensor()>> make_slices = {};
};

using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

// Writes tensors (any device, any strides) without gaps and aligned to their element size: wide
// elements first, otherwise in the order given. The file appears under its name only when complete.
void write_safetensors(const std::filesystem::path& path, NamedTensors tensors,
                       const std::map<std::string, std::string>& metadata);
// The same, one tensor in memory at a time, or one slice.
void write_safetensors(const std::filesystem::path& path, std::vector<TensorSource> sources,
                       const std::map<std::string, std::string>& metadata);

}  // namespace taskneuron

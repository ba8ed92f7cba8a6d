#include "taskneuron/checkpoint/gguf.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/file.h"
#include "base/sha256.h"
#include "base/torch_compat.h"
#include "checkpoint/gguf_header.h"
#include "checkpoint/gguf_types.h"
#include "taskneuron/base/error.h"

namespace taskneuron {

namespace fs = std::filesystem;

GgufFile::GgufFile(const fs::path& path)
    : file_(std::make_shared<const MappedFile>(path)), metadata_(path.string()) {
  GgufHeader header = parse_gguf_header(
      {reinterpret_cast<const char*>(file_->data()), file_->size_bytes()}, path.string());
  metadata_ = std::move(header.metadata);
  tensors_ = std::move(header.tensors);
}

const fs::path& GgufFile::path() const { return file_->path(); }

at::Tensor GgufFile::tensor(const std::string& name) const {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) {
    throw Error(fmt::format("{}: tensor '{}' is missing", path().string(), name));
  }
  return rows(name, 0, found->second.shape.front());
}

at::Tensor GgufFile::rows(const std::string& name, std::int64_t begin, std::int64_t end) const {
  const GgufTensor& where = tensors_.at(name);
  const GgufType& type = *where.type;
  const std::int64_t all = where.shape.front();
  TN_CHECK(0 <= begin && begin <= end && end <= all);
  // A vector's rows are numbers, which blocks hold several of.
  TN_CHECK(where.shape.size() > 1 || (begin == 0 && end == all));
  std::vector<std::int64_t> shape = where.shape;
  shape.front() = end - begin;
  at::Tensor result = at::empty(shape, at::kFloat);
  const auto row_bytes = (where.end - where.begin) / static_cast<std::uint64_t>(all);
  const std::byte* data =
      file_->data() + where.begin + static_cast<std::uint64_t>(begin) * row_bytes;
  constexpr std::int64_t kGrain = 1 << 15;  // numbers
  at::parallel_for(0, result.numel() / type.block, kGrain / type.block,
                   [&](std::int64_t first, std::int64_t last) {
                     type.dequantize(data + first * type.bytes, last - first,
                                     result.data_ptr<float>() + first * type.block);
                   });
  file_->release(reinterpret_cast<const char*>(data),
                 static_cast<std::uint64_t>(end - begin) * row_bytes);
  return result;
}

std::string GgufFile::type_name(const std::string& name) const {
  return tensors_.at(name).type->name;
}

std::string GgufFile::fingerprint() const {
  constexpr std::uint64_t kSample = 4096;
  std::uint64_t header = file_->size_bytes();
  for (const auto& [name, tensor] : tensors_) header = std::min(header, tensor.begin);
  Sha256 hash;
  hash.update(file_->data(), header);
  for (const auto& [name, tensor] : tensors_) {
    const std::uint64_t bytes = std::min(kSample, tensor.end - tensor.begin);
    hash.update(file_->data() + tensor.begin, bytes);
    hash.update(file_->data() + tensor.end - bytes, bytes);
  }
  return hash.hex();
}

std::int64_t GgufFile::tensor_bytes() const {
  std::int64_t bytes = 0;
  for (const auto& [name, tensor] : tensors_) {
    bytes += static_cast<std::int64_t>(tensor.end - tensor.begin);
  }
  return bytes;
}

}  // namespace taskneuron

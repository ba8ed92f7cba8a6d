#include "taskneuron/checkpoint/safetensors.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>

#include "base/file.h"
#include "base/json.h"
#include "base/torch_compat.h"
#include "checkpoint/safetensors_header.h"
#include "taskneuron/base/error.h"

namespace taskneuron {

namespace {

// The format's own limit (huggingface/safetensors, MAX_HEADER_SIZE).
constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;

std::uint64_t read_little_endian(const std::byte* data) {
  std::uint64_t value = 0;
  for (int i = 7; i >= 0; --i) value = value << 8 | std::to_integer<std::uint64_t>(data[i]);
  return value;
}

}  // namespace

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path, const std::string& expected)
    : file_(std::make_shared<const MappedFile>(path)) {
  read_header(expected);
}

const std::filesystem::path& SafetensorsFile::path() const { return file_->path(); }

std::string_view SafetensorsFile::header() const {
  return {reinterpret_cast<const char*>(file_->data()) + 8, header_bytes_};
}

// A safetensors file starts with a length whose high bytes are zero; text does not.
void SafetensorsFile::refuse_text(const std::string& expected) const {
  const std::string_view start(reinterpret_cast<const char*>(file_->data()),
                               std::min<std::size_t>(file_->size_bytes(), 64));
  const std::string_view length = start.substr(0, 8);
  const bool text = std::all_of(length.begin(), length.end(), [](char c) {
    return (c >= ' ' && c <= '~') || c == '\n' || c == '\r' || c == '\t';
  });
  if (!text) return;
  const std::string where = path().string();
  if (start.rfind("version https://git-lfs", 0) == 0) {
    throw Error(
        fmt::format("{}: is a pointer of Git LFS, not the file itself; `git lfs pull` gets "
                    "it",
                    where));
  }
  const std::size_t first = start.find_first_not_of(" \r\n\t");
  const bool json = first != std::string_view::npos && (start[first] == '{' || start[first] == '[');
  throw Error(fmt::format("{}: is {}; expected {}", where, json ? "JSON" : "text", expected));
}

void SafetensorsFile::read_header(const std::string& expected) {
  const std::string where = path().string();
  if (file_->size_bytes() < 8) {
    throw Error(
        fmt::format("{}: {} bytes is too short for a safetensors file; the download is "
                    "probably incomplete",
                    where, file_->size_bytes()));
  }
  refuse_text(expected);
  header_bytes_ = read_little_endian(file_->data());
  if (header_bytes_ > kMaxHeaderBytes || header_bytes_ > file_->size_bytes() - 8) {
    throw Error(
        fmt::format("{}: claims a header of {} bytes but the file has {}; it is truncated "
                    "or not a safetensors file",
                    where, header_bytes_, file_->size_bytes()));
  }
  SafetensorsHeader found =
      parse_safetensors_header(header(), file_->size_bytes() - 8 - header_bytes_, where);
  entries_ = std::move(found.entries);
  metadata_ = std::move(found.metadata);
}

std::string_view SafetensorsFile::bytes(const std::string& name) const {
  const TensorEntry& entry = entries_.at(name);
  const auto* data = reinterpret_cast<const char*>(file_->data()) + 8 + header_bytes_;
  return {data + entry.begin, entry.end - entry.begin};
}

at::Tensor SafetensorsFile::tensor(const std::string& name) const {
  const auto found = entries_.find(name);
  if (found == entries_.end()) {
    throw Error(fmt::format("{}: tensor '{}' is missing", path().string(), name));
  }
  const TensorEntry& entry = found->second;
  const std::string_view data = bytes(name);
  const auto address = reinterpret_cast<std::uintptr_t>(data.data());
  if (data.empty() || address % c10::elementSize(entry.dtype) != 0) {
    at::Tensor copy = at::empty(entry.shape, entry.dtype);
    if (!data.empty()) std::memcpy(copy.data_ptr(), data.data(), data.size());
    return copy;
  }
  auto keep_alive = file_;
  return at::from_blob(
      const_cast<char*>(data.data()), entry.shape, [keep_alive](void*) {},
      at::TensorOptions().dtype(entry.dtype));
}

at::Tensor read_tensor(const std::filesystem::path& path, const std::string& name,
                       at::ScalarType dtype, const std::vector<std::int64_t>& shape) {
  const at::Tensor stored = SafetensorsFile(path).tensor(name);
  if (stored.scalar_type() != dtype || stored.sizes().vec() != shape) {
    throw Error(fmt::format("{}: tensor '{}' is {} of [{}], not {} of [{}]", path.string(), name,
                            c10::toString(stored.scalar_type()), fmt::join(stored.sizes(), ", "),
                            c10::toString(dtype), fmt::join(shape, ", ")));
  }
  if (!at::isfinite(stored).all().item<bool>()) {
    throw Error(
        fmt::format("{}: tensor '{}' holds values that are not finite", path.string(), name));
  }
  return stored.clone();
}

void SafetensorsFile::release(const std::string& name) const {
  const std::string_view data = bytes(name);
  file_->release(data.data(), data.size());
}

void write_safetensors(const std::filesystem::path& path, NamedTensors tensors,
                       const std::map<std::string, std::string>& metadata) {
  std::vector<TensorSource> sources;
  for (auto& [name, tensor] : tensors) {
    sources.push_back(
        {name, tensor.scalar_type(), tensor.sizes().vec(), [&tensor = tensor] { return tensor; }});
  }
  write_safetensors(path, std::move(sources), metadata);
}

void write_safetensors(const std::filesystem::path& path, std::vector<TensorSource> sources,
                       const std::map<std::string, std::string>& metadata) {
  // The reference reader refuses gaps, so wide elements go first: then all stay aligned.
  std::stable_sort(sources.begin(), sources.end(), [](const auto& a, const auto& b) {
    return c10::elementSize(a.dtype) > c10::elementSize(b.dtype);
  });
  OutputJson header = OutputJson::object();
  for (const auto& [key, value] : metadata) header["__metadata__"][key] = value;
  std::uint64_t offset = 0;
  for (const TensorSource& source : sources) {
    std::uint64_t bytes = c10::elementSize(source.dtype);
    for (const std::int64_t size : source.shape) bytes *= static_cast<std::uint64_t>(size);
    header[source.name] = {{"dtype", safetensors_dtype(source.dtype)},
                           {"shape", source.shape},
                           {"data_offsets", {offset, offset + bytes}}};
    offset += bytes;
  }
  constexpr std::size_t kAlignment = 64;
  std::string text = json_text(header);
  text.append((kAlignment - (8 + text.size()) % kAlignment) % kAlignment, ' ');

  AtomicFile file(path);
  char length[8];
  for (int i = 0; i < 8; ++i) length[i] = static_cast<char>(text.size() >> (8 * i));
  file.write(length, sizeof(length));
  file.write(text);
  for (const TensorSource& source : sources) {
    std::int64_t left = c10::multiply_integers(source.shape);
    const auto write = [&](const at::Tensor& made) {
      const at::Tensor flat = made.detach().cpu().contiguous();
      TN_CHECK(flat.scalar_type() == source.dtype && flat.numel() <= left);
      TN_CHECK(!source.make_slices.empty() || flat.sizes() == source.shape);
      file.write(flat.data_ptr(), flat.nbytes());
      left -= flat.numel();
    };
    if (source.make_slices.empty()) write(source.make());
    for (const auto& make : source.make_slices) write(make());
    TN_CHECK(left == 0);
  }
  file.commit();
}

}  // namespace taskneuron

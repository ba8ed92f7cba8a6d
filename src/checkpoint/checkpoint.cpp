#include "taskneuron/checkpoint/checkpoint.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <set>

#include "base/check.h"
#include "base/file.h"
#include "base/json.h"
#include "base/sha256.h"
#include "base/torch_compat.h"
#include "taskneuron/base/error.h"

namespace taskneuron {

namespace fs = std::filesystem;

namespace {

constexpr const char* kSingleFile = "model.safetensors";
constexpr const char* kIndexFile = "model.safetensors.index.json";

// Names of the shards an index lists; refuses names that lead out of the folder.
std::set<std::string> shard_names(const fs::path& index) {
  const Json document = read_json(index);
  const JsonView view(document, index.string());
  std::set<std::string> names;
  for (const auto& [tensor, file] : view.at("weight_map").object().items()) {
    const JsonView entry(file, fmt::format("{}: 'weight_map': '{}'", index.string(), tensor));
    const std::string name = entry.string();
    if (fs::path(name).filename() != name) entry.fail(fmt::format("'{}' is not a file name", name));
    names.insert(name);
  }
  return names;
}

}  // namespace

Checkpoint::Checkpoint(const fs::path& folder) : folder_(folder) {
  if (!fs::is_directory(folder)) {
    throw Error(fmt::format("{}: no such model folder; expected a folder with config.json and {}",
                            folder.string(), kSingleFile));
  }
  config_ = read_model_config(folder / "config.json");
  open_shards();
  hash_ = compute_hash();
}

void Checkpoint::open_shards() {
  const fs::path index = folder_ / kIndexFile;
  std::set<std::string> names;
  if (fs::exists(folder_ / kSingleFile)) {
    names.insert(kSingleFile);
  } else if (fs::exists(index)) {
    names = shard_names(index);
  } else {
    throw Error(
        fmt::format("{}: neither {} nor {} is there; other weight formats are not read "
                    "(convert them to safetensors first)",
                    folder_.string(), kSingleFile, kIndexFile));
  }
  for (const std::string& name : names) {
    files_.emplace_back(folder_ / name);
    for (const auto& [tensor, entry] : files_.back().entries()) {
      if (!file_of_.emplace(tensor, files_.size() - 1).second) {
        throw Error(fmt::format("{}: tensor '{}' is also in {}", files_.back().path().string(),
                                tensor, files_[file_of_.at(tensor)].path().string()));
      }
    }
  }
}

const SafetensorsFile& Checkpoint::file_of(const std::string& name) const {
  const auto found = file_of_.find(name);
  if (found == file_of_.end()) {
    throw Error(fmt::format("{}: tensor '{}' is missing; is this a complete '{}' checkpoint?",
                            folder_.string(), name, config_.model_type));
  }
  return files_[found->second];
}

Checkpoint Checkpoint::with_config(ModelConfig config) const {
  Checkpoint result = *this;
  result.config_ = std::move(config);
  return result;
}

Checkpoint Checkpoint::with_replaced(std::map<std::string, at::Tensor> tensors) const {
  Checkpoint result = *this;
  Sha256 hash;
  hash.update(hash_);
  for (auto& [name, tensor] : tensors) {
    TN_CHECK_EQ(tensor.sizes(), this->tensor(name).sizes());
    const at::Tensor bytes = tensor.contiguous();
    hash.update(name);
    hash.update(bytes.data_ptr(), bytes.nbytes());
    result.replaced_[name] = bytes;
  }
  result.hash_ = "sha256:" + hash.hex();
  return result;
}

at::Tensor Checkpoint::tensor(const std::string& name) const {
  const auto replaced = replaced_.find(name);
  return replaced != replaced_.end() ? replaced->second : file_of(name).tensor(name);
}

at::Tensor Checkpoint::tensor(const std::string& name,
                              const std::vector<std::int64_t>& shape) const {
  const SafetensorsFile& file = file_of(name);
  const TensorEntry& entry = file.entries().at(name);
  if (entry.shape != shape) {
    throw Error(fmt::format("{}: tensor '{}' has shape [{}]; config.json makes it [{}]",
                            file.path().string(), name, fmt::join(entry.shape, ", "),
                            fmt::join(shape, ", ")));
  }
  if (entry.dtype != at::kFloat && entry.dtype != at::kHalf && entry.dtype != at::kBFloat16) {
    throw Error(fmt::format("{}: tensor '{}' has dtype {}; weights must be F32, F16 or BF16",
                            file.path().string(), name, c10::toString(entry.dtype)));
  }
  return tensor(name);
}

void Checkpoint::release(const std::string& name) const { file_of(name).release(name); }

std::vector<std::string> Checkpoint::tensor_names() const {
  std::vector<std::string> names;
  for (const auto& item : file_of_) names.push_back(item.first);
  return names;
}

std::int64_t Checkpoint::parameters() const {
  std::int64_t count = 0;
  for (const SafetensorsFile& file : files_) {
    for (const auto& [name, entry] : file.entries()) {
      const auto element = static_cast<std::uint64_t>(c10::elementSize(entry.dtype));
      count += static_cast<std::int64_t>((entry.end - entry.begin) / element);
    }
  }
  return count;
}

std::int64_t Checkpoint::tensor_bytes() const {
  std::int64_t bytes = 0;
  for (const SafetensorsFile& file : files_) {
    for (const auto& [name, entry] : file.entries()) {
      bytes += static_cast<std::int64_t>(entry.end - entry.begin);
    }
  }
  return bytes;
}

std::string Checkpoint::compute_hash() const {
  constexpr std::size_t kSample = 4096;
  Sha256 hash;
  hash.update(read_file(folder_ / "config.json"));
  for (const SafetensorsFile& file : files_) {
    hash.update(file.header());
    for (const auto& [name, entry] : file.entries()) {
      const std::string_view bytes = file.bytes(name);
      hash.update(bytes.substr(0, kSample));
      if (bytes.size() > kSample) hash.update(bytes.substr(bytes.size() - kSample));
    }
  }
  return "sha256:" + hash.hex();
}

std::string Checkpoint::sample_hash() const {
  constexpr std::size_t kSample = 4096, kStep = 1 << 20;
  Sha256 hash;
  for (const SafetensorsFile& file : files_) {
    for (const auto& [name, entry] : file.entries()) {
      const std::string_view bytes = file.bytes(name);
      for (std::size_t at = 0; at < bytes.size(); at += kStep) {
        hash.update(bytes.substr(at, kSample));
      }
    }
  }
  return "sha256:" + hash.hex();
}

std::string Checkpoint::first_non_finite() const {
  for (const std::string& name : tensor_names()) {
    const at::Tensor values = tensor(name);
    if (!values.is_floating_point()) continue;
    if (!at::isfinite(values.sum(at::kFloat)).item<bool>() &&
        !at::isfinite(values).all().item<bool>()) {
      return name;
    }
  }
  return "";
}

}  // namespace taskneuron

#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "taskneuron/checkpoint/model_config.h"
#include "taskneuron/checkpoint/safetensors.h"

namespace taskneuron {

// A Hugging Face model folder: config.json and model.safetensors, or the shards that
// model.safetensors.index.json names. Opening maps the files and reads their headers, no weights.
// Immutable and thread-safe.
class Checkpoint {
 public:
  explicit Checkpoint(const std::filesystem::path& folder);

  // The same with some tensors (of the same shapes) in place of those in the files. Has a hash of
  // its own. Throws Error for a tensor that is not there.
  Checkpoint with_replaced(std::map<std::string, at::Tensor> tensors) const;

  // The same files, their tensors read as another architecture's than config.json says.
  Checkpoint with_config(ModelConfig config) const;

  const std::filesystem::path& folder() const { return folder_; }
  const ModelConfig& config() const { return config_; }

  bool contains(const std::string& name) const { return file_of_.count(name) != 0; }
  // The mapped tensor. Throws Error if it is missing.
  at::Tensor tensor(const std::string& name) const;
  // The same, and throws Error unless it has this shape and a floating point type.
  at::Tensor tensor(const std::string& name, const std::vector<std::int64_t>& shape) const;
  // Lets the kernel drop a tensor's pages from memory.
  void release(const std::string& name) const;
  std::vector<std::string> tensor_names() const;  // sorted
  std::int64_t parameters() const;                // numbers in all tensors together
  std::int64_t tensor_bytes() const;              // of all tensors together

  // SHA-256 of config.json, the safetensors headers, and the first and last 4 KiB of every tensor:
  // tells checkpoints apart in milliseconds whatever their size. Starts with "sha256:".
  const std::string& hash() const { return hash_; }

  // SHA-256 of 4 KiB in every MiB of every tensor, as hash() is written: for copies that may have
  // been damaged on their way.
  std::string sample_hash() const;

  // The first tensor that holds a value that is not finite, or "" (reads every weight).
  std::string first_non_finite() const;

 private:
  void open_shards();
  std::string compute_hash() const;
  const SafetensorsFile& file_of(const std::string& name) const;

  std::filesystem::path folder_;
  ModelConfig config_;
  std::vector<SafetensorsFile> files_;
  std::map<std::string, std::size_t> file_of_;
  std::map<std::string, at::Tensor> replaced_;
  std::string hash_;
};

struct SaveOptions {
  std::map<std::string, at::Tensor> replaced;  // by name, of the same shape
  std::optional<at::ScalarType> dtype;  // of all floating point tensors; default: as they are
  // After each tensor: bytes of the base done. May throw (base/interruption.h, "Cancelling").
  std::function<void(std::int64_t bytes)> progress = {};
  std::string readme = {};  // README.md in place of the base's; "": that one is copied
};

// Writes a model folder like `base`, one tensor in memory at a time, that Transformers loads. What
// lies beside the weights (tokenizer, generation_config) is copied as it is; config.json gets the
// new dtype if one is given. The folder appears under its name only when complete. Throws Error if
// `out` exists or cannot be written, or if a replaced or converted tensor is not finite.
void save_model(const Checkpoint& base, const std::filesystem::path& out,
                const SaveOptions& options);
// The same into a folder that exists: every file appears complete or not at all, the weights last.
// Cancelled, files that were complete stay.
void save_model_into(const Checkpoint& base, const std::filesystem::path& folder,
                     const SaveOptions& options);

}  // namespace taskneuron

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <set>

#include "base/check.h"
#include "base/file.h"
#include "base/json.h"
#include "base/plain_name.h"
#include "base/torch_compat.h"
#include "taskneuron/base/compute.h"
#include "taskneuron/base/error.h"
#include "taskneuron/base/progress.h"
#include "taskneuron/checkpoint/checkpoint.h"

namespace taskneuron {

namespace fs = std::filesystem;

namespace {

constexpr const char* kReadme = "README.md";

// Weights in any format: folders of the hub hold several.
bool is_weight_file(const fs::path& path) {
  const std::string name = path.filename().string();
  const std::string extension = path.extension().string();
  constexpr const char* kFormats[] = {".safetensors", ".bin",  ".pt",   ".pth", ".ckpt",  ".h5",
                                      ".msgpack",     ".onnx", ".gguf", ".ot",  ".tflite"};
  return std::find(std::begin(kFormats), std::end(kFormats), extension) != std::end(kFormats) ||
         name == "model.safetensors.index.json" || name == "pytorch_model.bin.index.json";
}

// config.json with another torch_dtype (newer files call it dtype).
std::string config_with_dtype(const fs::path& path, at::ScalarType dtype) {
  OutputJson config = read_output_json(path);
  config[config.contains("dtype") ? "dtype" : "torch_dtype"] = dtype_name(dtype);
  return json_text(config, 2) + "\n";
}

void require_finite(const std::string& name, const at::Tensor& made) {
  if (!made.is_floating_point() || at::isfinite(made).all().item<bool>()) return;
  throw Error(fmt::format(
      "tensor '{}' would hold values that are not finite in {}; no model is written: a smaller "
      "scale or learning rate may do, or a model in a wider dtype (see `taskneuron convert`)",
      name, dtype_name(made.scalar_type())));
}

TensorSource source_of(const Checkpoint& base, const std::string& name,
                       const SaveOptions& options) {
  const at::Tensor stored = base.tensor(name);
  const auto found = options.replaced.find(name);
  const at::Tensor source = found == options.replaced.end() ? stored : found->second;
  TN_CHECK_EQ(source.sizes(), stored.sizes());
  const bool converts = options.dtype && source.is_floating_point();
  const at::ScalarType dtype = converts ? *options.dtype : source.scalar_type();
  const bool changes = converts || found != options.replaced.end();
  return {name, dtype, stored.sizes().vec(), [&base, &options, name, source, dtype, changes] {
            const at::Tensor made = source.to(dtype, /*non_blocking=*/false, /*copy=*/true);
            if (changes) require_finite(name, made);
            base.release(name);
            if (options.progress) {
              const at::Tensor before = base.tensor(name);
              options.progress(static_cast<std::int64_t>(before.nbytes()));
            }
            return made;
          }};
}

// Files of a model that its makers and Transformers name.
bool is_known_file(const fs::path& path) {
  static const std::set<std::string> kNames = {"config.json",         "generation_config.json",
                                               "tokenizer.json",      "tokenizer_config.json",
                                               "tokenizer.model",     "special_tokens_map.json",
                                               "added_tokens.json",   "vocab.json",
                                               "vocab.txt",           "merges.txt",
                                               "chat_template.jinja", "chat_template.json"};
  return kNames.count(path.filename().string()) != 0;
}

// A folder from a stranger may hold links to files of whoever copies it. What they lead to is
// copied where it lies in the folder, in the same Hub cache (snapshots/COMMIT/NAME is a link to
// blobs/HASH), or is a file that models have.
bool may_copy(const fs::directory_entry& entry, const fs::path& folder) {
  if (!entry.is_symlink() || is_known_file(entry.path())) return true;
  const fs::path within = fs::weakly_canonical(folder);
  const fs::path target = fs::weakly_canonical(entry.path());
  return target.parent_path() == within ||
         (within.parent_path().filename() == "snapshots" &&
          target.parent_path() == within.parent_path().parent_path() / "blobs");
}

}  // namespace

void save_model(const Checkpoint& base, const fs::path& out, const SaveOptions& options) {
  AtomicFolder folder(out);
  save_model_into(base, folder.temporary(), options);
  folder.commit();
}

void save_model_into(const Checkpoint& base, const fs::path& folder, const SaveOptions& options) {
  for (const auto& item : options.replaced) TN_CHECK(base.contains(item.first));
  for (const fs::directory_entry& entry : fs::directory_iterator(base.folder())) {
    if (!entry.is_regular_file() || is_weight_file(entry.path())) continue;
    if (!options.readme.empty() && entry.path().filename() == kReadme) continue;
    if (!may_copy(entry, base.folder())) {
      note(fmt::format("{}: is a link out of the model's folder, and is left out",
                       shown(entry.path().string())));
      continue;
    }
    const fs::path target = folder / entry.path().filename();
    const bool config = options.dtype && entry.path().filename() == "config.json";
    write_file(target,
               config ? config_with_dtype(entry.path(), *options.dtype) : read_file(entry.path()));
  }
  if (!options.readme.empty()) write_file(folder / kReadme, options.readme);
  std::vector<TensorSource> sources;
  for (const std::string& name : base.tensor_names()) {
    sources.push_back(source_of(base, name, options));
  }
  write_safetensors(folder / "model.safetensors", std::move(sources), {{"format", "pt"}});
}

}  // namespace taskneuron

#include "recipe/gguf.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/file.h"
#include "base/sha256.h"
#include "base/torch_compat.h"
#include "model/modules.h"
#include "model/weights.h"
#include "recipe/gguf_vocabulary.h"
#include "taskneuron/base/error.h"
#include "taskneuron/base/progress.h"
#include "taskneuron/checkpoint/checkpoint.h"
#include "taskneuron/checkpoint/gguf_model.h"
#include "taskneuron/checkpoint/model_config.h"
#include "taskneuron/recipe/locate_model.h"

namespace taskneuron {

namespace fs = std::filesystem;

namespace {

fs::path models_cache() {
  const fs::path root = user_cache();
  if (!root.is_absolute()) {
    throw Error(
        "neither XDG_CACHE_HOME nor HOME is set: no place to keep what a GGUF file is "
        "converted to; `taskneuron convert` makes a folder of your own");
  }
  return root / "taskneuron" / "models";
}

// The dtype that holds most of the file's matrices as they are; of quantised ones bfloat16.
at::ScalarType dtype_of(const GgufFile& file) {
  std::map<std::string, std::int64_t> matrices;
  for (const auto& [name, tensor] : file.tensors()) {
    if (tensor.shape.size() > 1) ++matrices[file.type_name(name)];
  }
  const auto most =
      std::max_element(matrices.begin(), matrices.end(),
                       [](const auto& a, const auto& b) { return a.second < b.second; });
  const std::string type = most == matrices.end() ? "" : most->first;
  return type == "F32" ? at::kFloat : type == "F16" ? at::kHalf : at::kBFloat16;
}

ModelFolder converted(const std::string& name) {
  const GgufFile file(name);
  const at::ScalarType dtype = dtype_of(file);
  const std::string stem = fs::path(name).stem().string();
  // Counts up when the same file becomes another folder.
  constexpr int kConversion = 1;
  // The fingerprint reads a little of every tensor: what was written anew in between shows by its
  // time.
  std::error_code gone;
  const auto written = fs::last_write_time(name, gone).time_since_epoch().count();
  const std::string made_of =
      sha256_hex(fmt::format("{} {} {}", kConversion, file.fingerprint(), written));
  const fs::path folder = models_cache() / fmt::format("{}-{}", stem, made_of.substr(0, 16));
  if (fs::exists(folder / "config.json")) return {folder, ""};
  note(fmt::format("{}: is converted once, into {}", name, folder.string()));
  Progress bar("convert", file.tensor_bytes());
  try {
    save_gguf_model(file, folder, dtype, [&](std::int64_t bytes) { bar.advance(bytes); });
  } catch (const Error&) {
    // Another process may have been faster.
    if (!fs::exists(folder / "config.json")) throw;
  }
  return {folder, ""};
}

// Throws Error naming the file where what it was converted to lacks a tensor, or has one of another
// shape or one too many. Weights are mapped, not read.
void require_model(const fs::path& folder, at::ScalarType dtype, const GgufFile& file) {
  try {
    const Checkpoint checkpoint(folder);
    require_known_tensors(checkpoint, load_weights(checkpoint, {dtype, at::kCPU}));
  } catch (const Error& error) {
    std::string message = error.what();
    for (const std::string& made : {(folder / "model.safetensors").string(), folder.string()}) {
      const auto at = message.find(made);
      if (at != std::string::npos) message.replace(at, made.size(), file.path().string());
    }
    throw Error(message + " (named as in the folder that the file is converted to)");
  }
}

}  // namespace

ModelFolder locate_model(const std::string& name) {
  return is_gguf(name) ? converted(name) : find_model(name);
}

bool is_gguf(const std::string& model) {
  return fs::path(model).extension() == ".gguf" && !fs::is_directory(model);
}

void save_gguf_model(const GgufFile& file, const fs::path& out, at::ScalarType dtype,
                     const std::function<void(std::int64_t bytes)>& progress) {
  const std::string config = gguf_config_json(file, dtype);
  parse_model_config(config, file.path().string());
  const TokenizerFiles tokenizer = gguf_tokenizer(gguf_vocabulary(file));
  std::vector<TensorSource> sources = gguf_tensors(file, dtype);
  // Bytes of the file, as shares of what is written.
  std::int64_t written = 0;
  for (const TensorSource& source : sources) {
    written += c10::multiply_integers(source.shape);
  }
  const double share = static_cast<double>(file.tensor_bytes()) / static_cast<double>(written);
  for (TensorSource& source : sources) {
    const auto reporting = [&progress, share](std::function<at::Tensor()> make) {
      return [&progress, share, make = std::move(make)] {
        at::Tensor made = make();
        progress(static_cast<std::int64_t>(share * static_cast<double>(made.numel())));
        return made;
      };
    };
    source.make = reporting(std::move(source.make));
    for (auto& slice : source.make_slices) slice = reporting(std::move(slice));
  }
  AtomicFolder folder(out);
  write_file(folder.temporary() / "config.json", config);
  write_file(folder.temporary() / "tokenizer.json", tokenizer.tokenizer);
  write_file(folder.temporary() / "tokenizer_config.json", tokenizer.config);
  write_safetensors(folder.temporary() / "model.safetensors", std::move(sources),
                    {{"format", "pt"}});
  require_model(folder.temporary(), dtype, file);
  folder.commit();
}

}  // namespace taskneuron

// A delta of a small model: its header, a zero byte, its data (memory_file.h).
#include "taskneuron/train/delta.h"

#include <ATen/ATen.h>
#include <fcntl.h>

#include "fuzz.h"
#include "memory_file.h"

namespace {

using namespace taskneuron;

// Two tensors; kept open, the folder itself is gone at once.
const Checkpoint& base() {
  static const Checkpoint* const model = [] {
    char folder[] = "/tmp/taskneuron-fuzz-XXXXXX";
    if (mkdtemp(folder) == nullptr) std::abort();
    const std::filesystem::path path = folder;
    std::ofstream(path / "config.json")
        << R"({"model_type": "llama", "hidden_size": 4, "intermediate_size": 6, "num_hidden_layers": 1,
               "num_attention_heads": 2, "vocab_size": 8, "max_position_embeddings": 16, "hidden_act": "silu", "rms_norm_eps": 1e-6})";
    write_safetensors(
        path / "model.safetensors",
        NamedTensors{{"up", at::ones({6, 4})}, {"down", at::ones({4, 6}, at::kBFloat16)}}, {});
    const auto* opened = new Checkpoint(path);
    std::filesystem::remove_all(path);
    return opened;
  }();
  return *model;
}

void read(std::string_view input) {
  static MemoryFile file;
  base();
  file.write_tensors(input);
  const Delta delta = load_delta(file.path(), base());
  const auto changed = apply_deltas(base(), {{delta, 1}, {delta, -0.5}});
  for (const auto& [name, tensor] : changed) {
    if (tensor.sizes() != base().tensor(name).sizes()) __builtin_trap();
  }
}

void write_seeds(const std::filesystem::path& folder) {
  Delta delta;
  delta.base_hash = base().hash();
  delta.tensors["up"] = {"up", 0, at::tensor({1, 4}, at::kLong), at::full({2, 4}, 0.5)};
  const auto save = [&](const char* name) {
    save_delta(delta, folder / "delta.safetensors");
    write_tensors_seed(folder / "delta.safetensors", folder / name);
    std::filesystem::remove(folder / "delta.safetensors");
  };
  save("seed-rows");
  delta.tensors["down"] = {"down", 1, at::tensor({0, 2, 5}, at::kLong),
                           at::full({4, 3}, 2, at::kBFloat16)};
  save("seed-rows-columns");
}

}  // namespace

TASKNEURON_FUZZ_SEEDED(read, write_seeds)

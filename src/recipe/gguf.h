#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "taskneuron/checkpoint/gguf.h"

namespace taskneuron {

// Whether a model's name is that of a GGUF file.
bool is_gguf(const std::string& model);

// Writes the Hugging Face folder of a GGUF file's model, in slices of its tensors: config.json, the
// tokenizer and the weights. The folder appears under its name only when complete. Throws Error for
// what is not read, before anything is written. progress: bytes of the file that are done.
void save_gguf_model(const GgufFile& file, const std::filesystem::path& out, at::ScalarType dtype,
                     const std::function<void(std::int64_t bytes)>& progress);

}  // namespace taskneuron

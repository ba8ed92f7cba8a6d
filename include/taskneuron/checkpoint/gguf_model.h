#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "taskneuron/checkpoint/gguf.h"
#include "taskneuron/checkpoint/safetensors.h"

namespace taskneuron {

// What the Hugging Face folder of a GGUF file's model holds. Both throw Error naming the file and
// what of it is not read: an architecture, a kind of rotation, a tensor.

// config.json, with dtype as its dtype.
std::string gguf_config_json(const GgufFile& file, at::ScalarType dtype);
// The tensors under the names of that folder, each made when its turn comes: dequantised, put into
// the order that Transformers has, and rounded once.
std::vector<TensorSource> gguf_tensors(const GgufFile& file, at::ScalarType dtype);

// The values of general.architecture that are read.
std::vector<std::string> gguf_architectures();

}  // namespace taskneuron

#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace taskneuron {

// How a GGUF file stores the numbers of a tensor: in blocks of so many, row by row (ggml's
// ggml-quants.c and the Python package gguf, quants.py).
struct GgufType {
  std::uint32_t code = 0;  // in the file
  const char* name = "";   // "Q4_K"
  std::int64_t block = 1;  // numbers
  std::int64_t bytes = 4;  // of a block
  // Writes the numbers of `blocks` blocks as float32, equal to the last bit to what the Python
  // package makes of them.
  void (*dequantize)(const std::byte* data, std::int64_t blocks, float* out) = nullptr;
};

// None for a type that is not read here.
const GgufType* gguf_type(std::uint32_t code);
// What the type is called, or its number, for messages.
std::string gguf_type_name(std::uint32_t code);
// Names of all that are read.
std::vector<std::string> gguf_type_names();

}  // namespace taskneuron

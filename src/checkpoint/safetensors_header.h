#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "taskneuron/checkpoint/safetensors.h"

namespace taskneuron {

struct SafetensorsHeader {
  std::map<std::string, TensorEntry> entries;
  std::map<std::string, std::string> metadata;
};

// The JSON of a header, every claim of it checked against the bytes that follow it. Throws Error,
// beginning with `where`, for what is no header, offsets that lie outside or overlap, and shapes
// that do not fit them.
SafetensorsHeader parse_safetensors_header(std::string_view json, std::uint64_t data_bytes,
                                           const std::string& where);

// "F32". Throws Error for a dtype that the format has no name for.
const char* safetensors_dtype(at::ScalarType dtype);

}  // namespace taskneuron

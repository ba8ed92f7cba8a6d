#pragma once

#include <map>
#include <string>
#include <string_view>

#include "taskneuron/checkpoint/gguf.h"

namespace taskneuron {

struct GgufHeader {
  GgufMetadata metadata;
  std::map<std::string, GgufTensor> tensors;
};

// Reads the header of a file whose bytes these are; what it says of metadata borrows them. Time and
// memory are bounded by the size of the header. Throws Error beginning with `where`.
GgufHeader parse_gguf_header(std::string_view file, const std::string& where);

}  // namespace taskneuron

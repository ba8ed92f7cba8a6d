#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "taskneuron/base/error.h"

// A fuzzer's entry: `read` is given every input. What is wrong with an input is an Error; anything
// else that is thrown, and whatever the sanitizers see, is a finding.
#define TASKNEURON_FUZZ(read)                                                         \
  extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) { \
    try {                                                                             \
      read(std::string_view(reinterpret_cast<const char*>(data), size));              \
    } catch (const taskneuron::Error&) {                                              \
    }                                                                                 \
    return 0;                                                                         \
  }

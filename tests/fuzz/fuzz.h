#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
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

// The same, and a run with TASKNEURON_FUZZ_SEEDS=FOLDER writes first inputs there and ends: of
// files that only the program itself can make.
#define TASKNEURON_FUZZ_SEEDED(read, write_seeds)                    \
  extern "C" int LLVMFuzzerInitialize(int*, char***) {               \
    if (const char* folder = std::getenv("TASKNEURON_FUZZ_SEEDS")) { \
      write_seeds(folder);                                           \
      std::exit(0);                                                  \
    }                                                                \
    return 0;                                                        \
  }                                                                  \
  TASKNEURON_FUZZ(read)

#pragma once

#include <filesystem>

#include "base/json.h"

namespace taskneuron {

// The tokenizer.json that Transformers' converters would make of a folder with vocab.json,
// merges.txt and tokenizer_config.json. The tokenizer_class must be GPT2Tokenizer or Qwen2Tokenizer
// (or their Fast variants). Throws Error for a folder that lacks these files and for another class
// by name.
Json slow_tokenizer_json(const std::filesystem::path& folder);

}  // namespace taskneuron

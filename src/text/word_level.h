#pragma once

#include <memory>

#include "text/token_model.h"

namespace taskneuron {

// A word is a token or unknown. From tokenizer.json's "model" of type WordLevel.
std::unique_ptr<TokenModel> make_word_level(const JsonView& json);

}  // namespace taskneuron

#pragma once

#include <memory>

#include "text/token_model.h"

namespace taskneuron {

// From tokenizer.json's "model". Throws Error naming a type that is not supported.
std::unique_ptr<TokenModel> make_token_model(const JsonView& json);

}  // namespace taskneuron

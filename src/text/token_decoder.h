#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/json.h"

namespace taskneuron {

// Last step of a tokenizer's pipeline, backwards: tokens to the pieces of a text.
class TokenDecoder {
 public:
  virtual ~TokenDecoder() = default;
  virtual std::vector<std::string> decode(std::vector<std::string> tokens) const = 0;
};

// From tokenizer.json's "decoder"; null where there is none. Throws Error naming a type that is not
// supported.
std::unique_ptr<TokenDecoder> make_token_decoder(const std::optional<JsonView>& json);

}  // namespace taskneuron

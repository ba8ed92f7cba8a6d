#pragma once

#include <string_view>
#include <vector>

#include "text/vocabulary.h"

namespace taskneuron {

// Third step of a tokenizer's pipeline: a word to ids.
class TokenModel {
 public:
  virtual ~TokenModel() = default;
  // Appends the ids of a word to `ids`.
  virtual void encode(std::string_view word, std::vector<TokenId>& ids) = 0;
  virtual const Vocabulary& vocabulary() const = 0;
};

}  // namespace taskneuron

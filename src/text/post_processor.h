#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "base/json.h"
#include "text/vocabulary.h"

namespace taskneuron {

// Fourth step of a tokenizer's pipeline: puts special tokens around a text's ids.
class PostProcessor {
 public:
  virtual ~PostProcessor() = default;
  virtual std::vector<TokenId> process(std::vector<TokenId> ids) const = 0;
};

// From tokenizer.json's "post_processor"; null where there is none or it adds nothing. Throws Error
// naming a type that is not supported.
std::unique_ptr<PostProcessor> make_post_processor(const std::optional<JsonView>& json);

// Puts `front` before and `back` behind every text.
std::unique_ptr<PostProcessor> make_wrapper(std::vector<TokenId> front, std::vector<TokenId> back);

}  // namespace taskneuron

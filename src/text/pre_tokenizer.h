#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/json.h"

namespace taskneuron {

// Second step of a tokenizer's pipeline: cuts text into the words that the model sees one by one.
class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  // Replaces `words` by finer ones. starts_text: whether words[0] stands at the start of the text
  // (and not after an added token).
  virtual void split(std::vector<std::string>& words, bool starts_text) const = 0;
};

// The character of {"type": "Metaspace"} that stands for a space. Throws Error for other than one.
std::string metaspace_replacement(const JsonView& json);

// From tokenizer.json's "pre_tokenizer"; null where there is none. Throws Error naming a type that
// is not supported.
std::unique_ptr<PreTokenizer> make_pre_tokenizer(const std::optional<JsonView>& json);

}  // namespace taskneuron

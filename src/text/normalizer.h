#pragma once

#include <memory>
#include <string>

#include "base/json.h"

namespace taskneuron {

// First step of a tokenizer's pipeline: text to text.
class Normalizer {
 public:
  virtual ~Normalizer() = default;
  // Throws Error where the text would grow beyond `limit` bytes (text_growth.h).
  virtual std::string normalize(std::string text, std::size_t limit) const = 0;
};

// From tokenizer.json's "normalizer"; null where there is none. Throws Error naming a type that is
// not supported.
std::unique_ptr<Normalizer> make_normalizer(const std::optional<JsonView>& json);

// A pattern {"String": s} or {"Regex": r}, as a regular expression.
std::string pattern_expression(const JsonView& json);

}  // namespace taskneuron

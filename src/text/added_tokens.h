#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/json.h"
#include "text/vocabulary.h"

namespace taskneuron {

// A token that is found in text before anything else looks at it.
struct AddedToken {
  TokenId id = 0;
  std::string content;
  bool single_word = false;  // not inside a word
  bool strip_left = false;   // swallows the white space before it
  bool strip_right = false;  // and after it
  bool normalized = false;   // looked for in normalized text, itself normalized
  bool special = false;      // left out of decoded text
};

AddedToken parse_added_token(const JsonView& json);

// A stretch of text: an added token, or text between them.
struct TextPart {
  std::string text;
  TokenId added = -1;  // the token's id, or -1
};

// Finds added tokens: at each place the longest, from left to right.
class AddedTokenFinder {
 public:
  // patterns: the texts to look for, parallel to tokens.
  AddedTokenFinder(const std::vector<AddedToken>& tokens, const std::vector<std::string>& patterns);
  std::vector<TextPart> split(const std::string& text) const;

 private:
  struct Pattern {
    std::string text;
    AddedToken token;
  };
  const Pattern* longest_at(const std::string& text, std::size_t offset) const;

  std::vector<Pattern> patterns_;
  // A tree of their bytes, so that a place in a text costs no more than what it has in common with
  // any pattern, however many there are. Nodes by number, 0 the root; children by node and byte.
  std::unordered_map<std::uint64_t, std::uint32_t> children_;
  std::vector<std::int32_t> ends_;  // [node] the pattern that ends there, or -1
};

}  // namespace taskneuron

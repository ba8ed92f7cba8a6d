#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/json.h"

namespace taskneuron {

using TokenId = std::int64_t;

// Tokens and their ids, both ways.
class Vocabulary {
 public:
  // Throws Error for an id that is negative, absurdly large, or given to two tokens.
  explicit Vocabulary(const JsonView& token_to_id);

  std::optional<TokenId> id(std::string_view token) const;
  // REQUIRES contains_id(id).
  const std::string& token(TokenId id) const { return tokens_[static_cast<std::size_t>(id)]; }
  bool contains_id(TokenId id) const;
  // One more than the highest id.
  TokenId end_id() const { return static_cast<TokenId>(tokens_.size()); }

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>()(text);
    }
  };
  std::unordered_map<std::string, TokenId, Hash, std::equal_to<>> ids_;
  std::vector<std::string> tokens_;  // by id
  std::vector<bool> used_;
};

}  // namespace taskneuron

#include "text/vocabulary.h"

#include <fmt/format.h>

namespace taskneuron {

Vocabulary::Vocabulary(const JsonView& token_to_id) {
  constexpr TokenId kMaxId = 1 << 22;  // bounds what a small file makes us hold
  ids_.reserve(token_to_id.object().size());
  for (const auto& [token, value] : token_to_id.object().items()) {
    const JsonView entry(value, fmt::format("{}: '{}'", token_to_id.where(), token));
    const TokenId id = entry.integer();
    if (id < 0 || id > kMaxId) entry.fail(fmt::format("id {} is out of range", id));
    const auto index = static_cast<std::size_t>(id);
    if (index >= tokens_.size()) {
      tokens_.resize(index + 1);
      used_.resize(index + 1);
    }
    if (used_[index]) entry.fail(fmt::format("id {} belongs to '{}' already", id, tokens_[index]));
    used_[index] = true;
    tokens_[index] = token;
    ids_.emplace(token, id);
  }
}

std::optional<TokenId> Vocabulary::id(std::string_view token) const {
  const auto found = ids_.find(token);
  return found == ids_.end() ? std::nullopt : std::optional<TokenId>(found->second);
}

bool Vocabulary::contains_id(TokenId id) const {
  return id >= 0 && static_cast<std::size_t>(id) < used_.size() &&
         used_[static_cast<std::size_t>(id)];
}

}  // namespace taskneuron

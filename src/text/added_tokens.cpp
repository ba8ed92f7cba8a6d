#include "text/added_tokens.h"

#include "text/unicode.h"

namespace taskneuron {

namespace {

// Start of the code point that ends right before `offset`.
std::size_t previous_start(const std::string& text, std::size_t offset) {
  do --offset;
  while (offset > 0 && (static_cast<unsigned char>(text[offset]) & 0xC0) == 0x80);
  return offset;
}

std::uint64_t edge(std::uint32_t node, char byte) {
  return std::uint64_t{node} << 8 | static_cast<unsigned char>(byte);
}

bool word_before(const std::string& text, std::size_t offset) {
  if (offset == 0) return false;
  std::size_t start = previous_start(text, offset);
  return is_word(next_code_point(text, start));
}

bool word_after(const std::string& text, std::size_t offset) {
  return offset < text.size() && is_word(next_code_point(text, offset));
}

}  // namespace

AddedToken parse_added_token(const JsonView& json) {
  AddedToken token;
  token.id = json.at("id").integer();
  token.content = json.at("content").string();
  token.single_word = json.boolean_or("single_word", false);
  token.strip_left = json.boolean_or("lstrip", false);
  token.strip_right = json.boolean_or("rstrip", false);
  token.special = json.boolean_or("special", false);
  token.normalized = json.boolean_or("normalized", !token.special);
  if (token.id < 0) json.at("id").fail("an id must not be negative");
  return token;
}

AddedTokenFinder::AddedTokenFinder(const std::vector<AddedToken>& tokens,
                                   const std::vector<std::string>& patterns)
    : ends_(1, -1) {
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (patterns[i].empty()) continue;
    std::uint32_t node = 0;
    for (const char byte : patterns[i]) {
      const auto [child, fresh] =
          children_.try_emplace(edge(node, byte), static_cast<std::uint32_t>(ends_.size()));
      if (fresh) ends_.push_back(-1);
      node = child->second;
    }
    if (ends_[node] >= 0) continue;  // of equal patterns the first
    ends_[node] = static_cast<std::int32_t>(patterns_.size());
    patterns_.push_back({patterns[i], tokens[i]});
  }
}

const AddedTokenFinder::Pattern* AddedTokenFinder::longest_at(const std::string& text,
                                                              std::size_t offset) const {
  const Pattern* longest = nullptr;
  std::uint32_t node = 0;
  for (; offset < text.size(); ++offset) {
    const auto child = children_.find(edge(node, text[offset]));
    if (child == children_.end()) break;
    node = child->second;
    if (ends_[node] >= 0) longest = &patterns_[static_cast<std::size_t>(ends_[node])];
  }
  return longest;
}

std::vector<TextPart> AddedTokenFinder::split(const std::string& text) const {
  if (text.empty()) return {};
  if (patterns_.empty()) return {{text, -1}};
  std::vector<TextPart> parts;
  std::size_t covered = 0;
  for (std::size_t offset = 0; offset < text.size();) {
    const Pattern* found = longest_at(text, offset);
    if (found == nullptr) {
      ++offset;
      continue;
    }
    std::size_t begin = offset, end = offset + found->text.size();
    offset = end;
    if (found->token.single_word && (word_before(text, begin) || word_after(text, end))) continue;
    if (found->token.strip_left) {
      while (begin > covered) {
        const std::size_t start = previous_start(text, begin);
        std::size_t cursor = start;
        if (!is_space(next_code_point(text, cursor))) break;
        begin = start;
      }
    }
    if (found->token.strip_right) {
      while (end < text.size()) {
        std::size_t cursor = end;
        if (!is_space(next_code_point(text, cursor))) break;
        end = cursor;
      }
    }
    if (begin > covered) parts.push_back({text.substr(covered, begin - covered), -1});
    parts.push_back({text.substr(begin, end - begin), found->token.id});
    covered = offset = end;
  }
  if (covered < text.size()) parts.push_back({text.substr(covered), -1});
  return parts;
}

}  // namespace taskneuron

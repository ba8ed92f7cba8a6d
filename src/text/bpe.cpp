#include "text/bpe.h"

#include <fmt/format.h>

#include <algorithm>
#include <queue>
#include <unordered_map>
#include <unordered_set>

#include "taskneuron/base/error.h"
#include "text/unicode.h"

namespace taskneuron {

namespace {

constexpr std::size_t kCacheWords = 1 << 16;
constexpr std::size_t kCacheWordBytes = 64;  // longer words are not worth remembering

// Options of byte-pair encoding as tokenizer.json names them.
struct BpeOptions {
  std::optional<std::string> unknown_token;
  std::string continuing_subword_prefix;
  std::string end_of_word_suffix;
  bool fuse_unknown = false;
  bool byte_fallback = false;
  bool ignore_merges = false;  // a word that is a token needs no merges
};

struct Merge {
  std::string left;
  std::string right;
};

struct MergeRule {
  std::uint32_t rank;
  TokenId result;
};

struct Symbol {
  TokenId id;
  int previous;
  int next;
  bool alive;
};

struct Candidate {
  std::uint32_t rank;
  int position;
  TokenId result;
  // The lowest rank first, then the leftmost.
  bool operator<(const Candidate& other) const {
    return rank != other.rank ? rank > other.rank : position > other.position;
  }
};

template <typename Id>
std::uint64_t pair_key(Id left, Id right) {
  return static_cast<std::uint64_t>(left) << 32 | static_cast<std::uint64_t>(right);
}

class BytePairModel : public TokenModel {
 public:
  BytePairModel(Vocabulary vocabulary, const std::vector<Merge>& merges, BpeOptions options,
                const std::string& where);

  void encode(std::string_view word, std::vector<TokenId>& ids) override;
  const Vocabulary& vocabulary() const override { return vocabulary_; }

 private:
  TokenId require(const std::string& token, std::size_t merge, const std::string& where) const;
  void find_byte_tokens();
  void start_symbols(std::string_view word, std::vector<TokenId>& ids) const;
  void add_unknown(std::vector<TokenId>& ids, bool& after_unknown) const;
  void encode_short(std::string_view word, std::vector<TokenId>& ids);
  void find_neighbours();
  bool may_join(char32_t left, char32_t right) const;
  std::vector<TokenId> merged(std::string_view word) const;
  void merge_few(std::vector<TokenId>& ids) const;
  std::vector<TokenId> merge_many(const std::vector<TokenId>& ids) const;
  const MergeRule* rule(TokenId left, TokenId right) const;

  Vocabulary vocabulary_;
  BpeOptions options_;
  std::optional<TokenId> unknown_;
  std::vector<TokenId> byte_tokens_;  // of "<0x00>"...; empty without byte fallback
  std::unordered_map<std::uint64_t, MergeRule> rules_;
  // Pairs of characters that some token holds side by side, and the characters that are tokens;
  // filled when the first long word comes.
  std::unordered_set<std::uint64_t> neighbours_;
  std::unordered_set<char32_t> characters_;
  std::unordered_map<std::string, std::vector<TokenId>> cache_;
  std::string cache_key_;
};

BytePairModel::BytePairModel(Vocabulary vocabulary, const std::vector<Merge>& merges,
                             BpeOptions options, const std::string& where)
    : vocabulary_(std::move(vocabulary)), options_(std::move(options)) {
  if (options_.unknown_token) unknown_ = vocabulary_.id(*options_.unknown_token);
  const std::size_t prefix = options_.continuing_subword_prefix.size();
  rules_.reserve(merges.size());
  for (std::size_t i = 0; i < merges.size(); ++i) {
    const TokenId left = require(merges[i].left, i, where);
    const TokenId right = require(merges[i].right, i, where);
    const std::string joined =
        merges[i].left + merges[i].right.substr(std::min(prefix, merges[i].right.size()));
    const TokenId result = require(joined, i, where);
    // A pair listed twice keeps its last rank, as in the reference's map.
    rules_[pair_key(left, right)] = {static_cast<std::uint32_t>(i), result};
  }
  if (options_.byte_fallback) find_byte_tokens();
}

TokenId BytePairModel::require(const std::string& token, std::size_t merge,
                               const std::string& where) const {
  const auto id = vocabulary_.id(token);
  if (!id) {
    throw Error(fmt::format("{}: merge {} needs token '{}', which the vocabulary lacks", where,
                            merge, token));
  }
  return *id;
}

void BytePairModel::find_byte_tokens() {
  byte_tokens_.assign(256, -1);
  for (int byte = 0; byte < 256; ++byte) {
    if (const auto id = vocabulary_.id(fmt::format("<0x{:02X}>", byte))) {
      byte_tokens_[static_cast<std::size_t>(byte)] = *id;
    }
  }
}

const MergeRule* BytePairModel::rule(TokenId left, TokenId right) const {
  const auto found = rules_.find(pair_key(left, right));
  return found == rules_.end() ? nullptr : &found->second;
}

void BytePairModel::add_unknown(std::vector<TokenId>& ids, bool& after_unknown) const {
  if (!unknown_) return;  // the reference drops what it cannot name
  if (!(options_.fuse_unknown && after_unknown)) ids.push_back(*unknown_);
  after_unknown = true;
}

void BytePairModel::start_symbols(std::string_view word, std::vector<TokenId>& ids) const {
  bool after_unknown = false;
  std::string symbol;
  for (std::size_t offset = 0; offset < word.size();) {
    const std::size_t begin = offset;
    offset += utf8_length(word[begin]);
    const std::string_view character = word.substr(begin, offset - begin);
    symbol.clear();
    if (begin > 0) symbol += options_.continuing_subword_prefix;
    symbol += character;
    if (offset >= word.size()) symbol += options_.end_of_word_suffix;
    if (const auto id = vocabulary_.id(symbol)) {
      ids.push_back(*id);
      after_unknown = false;
      continue;
    }
    const bool bytes_known =
        !byte_tokens_.empty() && std::all_of(symbol.begin(), symbol.end(), [this](char c) {
          return byte_tokens_[static_cast<unsigned char>(c)] >= 0;
        });
    if (bytes_known) {
      for (const char c : symbol) ids.push_back(byte_tokens_[static_cast<unsigned char>(c)]);
      after_unknown = false;
    } else {
      add_unknown(ids, after_unknown);
    }
  }
}

// Looks at every pair in every round; fastest for words as they occur in text.
void BytePairModel::merge_few(std::vector<TokenId>& ids) const {
  while (ids.size() > 1) {
    const MergeRule* best = nullptr;
    std::size_t position = 0;
    for (std::size_t i = 0; i + 1 < ids.size(); ++i) {
      const MergeRule* candidate = rule(ids[i], ids[i + 1]);
      if (candidate != nullptr && (best == nullptr || candidate->rank < best->rank)) {
        best = candidate;
        position = i;
      }
    }
    if (best == nullptr) return;
    ids[position] = best->result;
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(position) + 1);
  }
}

// With a queue of candidates: n log n, for words as long as a text.
std::vector<TokenId> BytePairModel::merge_many(const std::vector<TokenId>& ids) const {
  const int count = static_cast<int>(ids.size());
  std::vector<Symbol> symbols;
  symbols.reserve(ids.size());
  for (int i = 0; i < count; ++i) {
    symbols.push_back({ids[static_cast<std::size_t>(i)], i - 1, i + 1 < count ? i + 1 : -1, true});
  }
  const auto at = [&](int i) -> Symbol& { return symbols[static_cast<std::size_t>(i)]; };
  std::priority_queue<Candidate> queue;
  const auto offer = [&](int left) {
    if (left < 0 || at(left).next < 0) return;
    if (const MergeRule* found = rule(at(left).id, at(at(left).next).id)) {
      queue.push({found->rank, left, found->result});
    }
  };
  for (int i = 0; i + 1 < count; ++i) offer(i);
  while (!queue.empty()) {
    const Candidate top = queue.top();
    queue.pop();
    Symbol& left = at(top.position);
    if (!left.alive || left.next < 0) continue;
    Symbol& right = at(left.next);
    const MergeRule* current = rule(left.id, right.id);
    if (current == nullptr || current->result != top.result) continue;  // out of date
    left.id = top.result;
    right.alive = false;
    left.next = right.next;
    if (left.next >= 0) at(left.next).previous = top.position;
    offer(left.previous);
    offer(top.position);
  }
  std::vector<TokenId> result;
  for (const Symbol& symbol : symbols) {
    if (symbol.alive) result.push_back(symbol.id);
  }
  return result;
}

std::vector<TokenId> BytePairModel::merged(std::string_view word) const {
  constexpr std::size_t kFew = 24;
  std::vector<TokenId> ids;
  start_symbols(word, ids);
  if (ids.size() > kFew) return merge_many(ids);
  merge_few(ids);
  return ids;
}

void BytePairModel::find_neighbours() {
  for (TokenId id = 0; id < vocabulary_.end_id(); ++id) {
    if (!vocabulary_.contains_id(id)) continue;
    const std::string& token = vocabulary_.token(id);
    char32_t previous = 0;
    std::size_t count = 0;
    for (std::size_t offset = 0; offset < token.size(); ++count) {
      const char32_t current = next_code_point(token, offset);
      if (count > 0) neighbours_.insert(pair_key(previous, current));
      previous = current;
    }
    if (count == 1) characters_.insert(previous);
  }
}

// Characters that no token holds side by side can never be merged across. (A character that is no
// token itself turns into other symbols, of which this says nothing.)
bool BytePairModel::may_join(char32_t left, char32_t right) const {
  return neighbours_.count(pair_key(left, right)) != 0 || characters_.count(left) == 0 ||
         characters_.count(right) == 0;
}

void BytePairModel::encode(std::string_view word, std::vector<TokenId>& ids) {
  if (word.empty()) return;
  if (options_.ignore_merges) {
    if (const auto id = vocabulary_.id(word)) {
      ids.push_back(*id);
      return;
    }
  }
  const bool plain =
      options_.continuing_subword_prefix.empty() && options_.end_of_word_suffix.empty();
  if (word.size() <= kCacheWordBytes || !plain) return encode_short(word, ids);
  // Text without a pre-tokenizer is one long word: cut where no merge can reach across, so that the
  // work stays linear and the pieces repeat.
  if (characters_.empty()) find_neighbours();
  std::size_t begin = 0, offset = 0;
  char32_t previous = next_code_point(word, offset);
  while (offset < word.size()) {
    const std::size_t boundary = offset;
    const char32_t current = next_code_point(word, offset);
    if (!may_join(previous, current)) {
      encode_short(word.substr(begin, boundary - begin), ids);
      begin = boundary;
    }
    previous = current;
  }
  encode_short(word.substr(begin), ids);
}

void BytePairModel::encode_short(std::string_view word, std::vector<TokenId>& ids) {
  if (word.size() > kCacheWordBytes) {
    const std::vector<TokenId> result = merged(word);
    ids.insert(ids.end(), result.begin(), result.end());
    return;
  }
  cache_key_.assign(word);
  auto found = cache_.find(cache_key_);
  if (found == cache_.end()) {
    if (cache_.size() >= kCacheWords) cache_.clear();
    found = cache_.emplace(cache_key_, merged(word)).first;
  }
  ids.insert(ids.end(), found->second.begin(), found->second.end());
}

// "a b" of a merges list. Throws Error (naming where) unless it is two parts.
Merge parse_merge(const std::string& text, const std::string& where) {
  const std::size_t space = text.find(' ');
  if (space == std::string::npos || space == 0 || space + 1 == text.size() ||
      text.find(' ', space + 1) != std::string::npos) {
    throw Error(fmt::format("{}: merge '{}' must be two tokens with a space between", where, text));
  }
  return {text.substr(0, space), text.substr(space + 1)};
}

std::vector<Merge> read_merges(const JsonView& json) {
  std::vector<Merge> merges;
  for (const JsonView& item : json.array()) {
    if (item.value().is_array()) {
      const std::vector<std::string> pair = item.strings();
      if (pair.size() != 2) item.fail("a merge must have two parts");
      merges.push_back({pair[0], pair[1]});
    } else {
      merges.push_back(parse_merge(item.string(), item.where()));
    }
  }
  return merges;
}

// What is put before or behind every symbol.
std::string affix(const JsonView& json, const std::string& key) {
  constexpr std::size_t kMaxBytes = 64;
  std::string text = json.string_or(key, "");
  if (text.size() > kMaxBytes) {
    json.at(key).fail(fmt::format("has {} bytes; at most {} are taken", text.size(), kMaxBytes));
  }
  return text;
}

}  // namespace

std::unique_ptr<TokenModel> make_bpe(const JsonView& json) {
  BpeOptions options;
  if (json.number_or("dropout", 0) != 0) json.fail("'dropout' above 0 is not supported");
  if (const auto token = json.find("unk_token")) options.unknown_token = token->string();
  options.continuing_subword_prefix = affix(json, "continuing_subword_prefix");
  options.end_of_word_suffix = affix(json, "end_of_word_suffix");
  options.fuse_unknown = json.boolean_or("fuse_unk", false);
  options.byte_fallback = json.boolean_or("byte_fallback", false);
  options.ignore_merges = json.boolean_or("ignore_merges", false);
  return std::make_unique<BytePairModel>(Vocabulary(json.at("vocab")),
                                         read_merges(json.at("merges")), std::move(options),
                                         json.where());
}

}  // namespace taskneuron

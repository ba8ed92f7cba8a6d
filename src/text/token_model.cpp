#include "text/token_model.h"

#include <fmt/format.h>

#include "text/bpe.h"

namespace taskneuron {

namespace {

// A word is a token or unknown.
class WordLevelModel : public TokenModel {
 public:
  WordLevelModel(Vocabulary vocabulary, const std::string& unknown)
      : vocabulary_(std::move(vocabulary)), unknown_(vocabulary_.id(unknown)) {}
  void encode(std::string_view word, std::vector<TokenId>& ids) override {
    const auto id = vocabulary_.id(word);
    if (id || unknown_) ids.push_back(id ? *id : *unknown_);
  }
  const Vocabulary& vocabulary() const override { return vocabulary_; }

 private:
  Vocabulary vocabulary_;
  std::optional<TokenId> unknown_;
};

}  // namespace

Vocabulary::Vocabulary(const JsonView& token_to_id) {
  constexpr TokenId kMaxId = 1 << 24;
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

std::unique_ptr<TokenModel> make_token_model(const JsonView& json) {
  // Older files carry no type; they are byte-pair encodings.
  const std::string type = json.string_or("type", json.find("merges") ? "BPE" : "(none)");
  if (type == "BPE") return make_bpe(json);
  if (type == "WordLevel") {
    return std::make_unique<WordLevelModel>(Vocabulary(json.at("vocab")),
                                            json.string_or("unk_token", ""));
  }
  json.fail(fmt::format("tokenizer model '{}' is not supported; BPE and WordLevel are", type));
}

}  // namespace taskneuron

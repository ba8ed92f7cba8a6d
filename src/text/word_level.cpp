#include "text/word_level.h"

namespace taskneuron {

namespace {

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

std::unique_ptr<TokenModel> make_word_level(const JsonView& json) {
  return std::make_unique<WordLevelModel>(Vocabulary(json.at("vocab")),
                                          json.string_or("unk_token", ""));
}

}  // namespace taskneuron

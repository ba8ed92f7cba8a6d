#include "text/post_processor.h"

#include <fmt/format.h>

namespace taskneuron {

namespace {

class Wrapper : public PostProcessor {
 public:
  Wrapper(std::vector<TokenId> front, std::vector<TokenId> back)
      : front_(std::move(front)), back_(std::move(back)) {}
  std::vector<TokenId> process(std::vector<TokenId> ids) const override {
    ids.insert(ids.begin(), front_.begin(), front_.end());
    ids.insert(ids.end(), back_.begin(), back_.end());
    return ids;
  }

 private:
  std::vector<TokenId> front_, back_;
};

class PostProcessorSequence : public PostProcessor {
 public:
  explicit PostProcessorSequence(std::vector<std::unique_ptr<PostProcessor>> steps)
      : steps_(std::move(steps)) {}
  std::vector<TokenId> process(std::vector<TokenId> ids) const override {
    for (const auto& step : steps_) {
      if (step) ids = step->process(std::move(ids));
    }
    return ids;
  }

 private:
  std::vector<std::unique_ptr<PostProcessor>> steps_;
};

std::unique_ptr<PostProcessor> make_template(const JsonView& json) {
  std::vector<TokenId> front, back;
  bool after_text = false;
  for (const JsonView& piece : json.at("single").array()) {
    if (piece.find("Sequence")) {
      after_text = true;
      continue;
    }
    const std::string name = piece.at("SpecialToken").at("id").string();
    for (const JsonView& id : json.at("special_tokens").at(name).at("ids").array()) {
      (after_text ? back : front).push_back(id.integer());
    }
  }
  constexpr std::size_t kMaxTokens = 64;
  if (front.size() + back.size() > kMaxTokens) {
    json.at("single").fail(fmt::format("adds {} tokens to every text; at most {} are taken",
                                       front.size() + back.size(), kMaxTokens));
  }
  return make_wrapper(std::move(front), std::move(back));
}

// BERT's and RoBERTa's [CLS] text [SEP]: pairs of a token and its id.
std::unique_ptr<PostProcessor> make_cls_sep(const JsonView& json) {
  const auto id = [&](const char* key) {
    const std::vector<JsonView> pair = json.at(key).array();
    if (pair.size() != 2) json.at(key).fail("expected a token and its id");
    return pair[1].integer();
  };
  return make_wrapper({id("cls")}, {id("sep")});
}

}  // namespace

std::unique_ptr<PostProcessor> make_wrapper(std::vector<TokenId> front, std::vector<TokenId> back) {
  return std::make_unique<Wrapper>(std::move(front), std::move(back));
}

std::unique_ptr<PostProcessor> make_post_processor(const std::optional<JsonView>& json) {
  if (!json) return nullptr;
  const std::string type = json->at("type").string();
  if (type == "ByteLevel") return nullptr;  // it trims offsets, which we do not keep
  if (type == "TemplateProcessing") return make_template(*json);
  if (type == "BertProcessing" || type == "RobertaProcessing") return make_cls_sep(*json);
  if (type == "Sequence") {
    std::vector<std::unique_ptr<PostProcessor>> steps;
    for (const JsonView& step : json->at("processors").array()) {
      steps.push_back(make_post_processor(step));
    }
    return std::make_unique<PostProcessorSequence>(std::move(steps));
  }
  json->fail(fmt::format("post-processor '{}' is not supported", type));
}

}  // namespace taskneuron

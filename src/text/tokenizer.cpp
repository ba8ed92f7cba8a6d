#include "taskneuron/text/tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <map>
#include <unordered_map>

#include "base/file.h"
#include "base/json.h"
#include "taskneuron/base/error.h"
#include "text/added_tokens.h"
#include "text/normalizer.h"
#include "text/post_processor.h"
#include "text/pre_tokenizer.h"
#include "text/slow_tokenizer.h"
#include "text/text_growth.h"
#include "text/token_decoder.h"
#include "text/token_model_types.h"
#include "text/unicode.h"

namespace taskneuron {

namespace fs = std::filesystem;

struct Tokenizer::Pipeline {
  std::unique_ptr<Normalizer> normalizer;
  std::unique_ptr<PreTokenizer> pre_tokenizer;
  std::unique_ptr<TokenModel> model;
  std::unique_ptr<PostProcessor> post_processor;
  std::unique_ptr<TokenDecoder> decoder;

  std::map<TokenId, AddedToken> added;
  std::unordered_map<std::string, TokenId> added_ids;
  std::unique_ptr<AddedTokenFinder> raw_finder;         // in the text as it is
  std::unique_ptr<AddedTokenFinder> normalized_finder;  // in normalized text
  std::optional<TokenId> end_of_sequence;
  std::string chat_template;
  std::string where;
  std::optional<TokenId> vocabulary;  // of the model

  void build(const JsonView& json);
  void read_config(const fs::path& folder);
  void add_tokens(const JsonView& list);
  void encode_part(const std::string& text, bool starts_text, std::vector<TokenId>& ids) const;
  void require_known(const std::vector<TokenId>& ids) const;
};

void Tokenizer::Pipeline::require_known(const std::vector<TokenId>& ids) const {
  for (const TokenId id : ids) {
    if (id >= 0 && id < *vocabulary) continue;
    throw Error(fmt::format(
        "{}: gives a text token {}, which is outside the model's vocabulary of {}; do tokenizer "
        "and model belong together?",
        where, id, *vocabulary));
  }
}

// Steps cost time for every text, and a file of a megabyte holds tens of thousands.
void require_few_steps(const JsonView& json) {
  constexpr int kMaxSteps = 64;
  int steps = 0;
  const std::function<void(const Json&)> count = [&](const Json& value) {
    if (!value.is_structured()) return;
    if (value.is_object() && value.contains("type")) ++steps;
    for (const Json& part : value) count(part);
  };
  for (const char* key : {"normalizer", "pre_tokenizer", "post_processor", "decoder"}) {
    const auto part = json.find(key);
    if (!part) continue;
    steps = 0;
    count(part->value());
    if (steps > kMaxSteps)
      part->fail(fmt::format("has {} steps; at most {} are taken", steps, kMaxSteps));
  }
}

void Tokenizer::Pipeline::add_tokens(const JsonView& list) {
  std::vector<AddedToken> raw, normalized;
  std::vector<std::string> raw_patterns, normalized_patterns;
  for (const JsonView& item : list.array()) {
    const AddedToken token = parse_added_token(item);
    const auto [known, fresh] = added.try_emplace(token.id, token);
    if (!fresh)
      item.fail(fmt::format("id {} belongs to '{}' already", token.id, known->second.content));
    added_ids[token.content] = token.id;
    if (token.normalized && normalizer) {
      normalized.push_back(token);
      normalized_patterns.push_back(
          normalizer->normalize(token.content, most_bytes(token.content.size())));
    } else {
      raw.push_back(token);
      raw_patterns.push_back(token.content);
    }
  }
  raw_finder = std::make_unique<AddedTokenFinder>(raw, raw_patterns);
  normalized_finder = std::make_unique<AddedTokenFinder>(normalized, normalized_patterns);
}

void Tokenizer::Pipeline::build(const JsonView& json) {
  require_few_steps(json);
  normalizer = make_normalizer(json.find("normalizer"));
  pre_tokenizer = make_pre_tokenizer(json.find("pre_tokenizer"));
  model = make_token_model(json.at("model"));
  post_processor = make_post_processor(json.find("post_processor"));
  decoder = make_token_decoder(json.find("decoder"));
  const Json none = Json::array();
  add_tokens(json.find("added_tokens").value_or(JsonView(none, json.where())));
}

// A special token is written as a string or as an object with its content.
std::optional<std::string> special_token(const JsonView& json, const std::string& key) {
  const auto field = json.find(key);
  if (!field) return std::nullopt;
  if (field->value().is_object()) return field->at("content").string();
  return field->string();
}

void Tokenizer::Pipeline::read_config(const fs::path& folder) {
  for (const char* name : {"tokenizer_config.json", "special_tokens_map.json"}) {
    if (!fs::exists(folder / name)) continue;
    const Json document = read_json(folder / name);
    const JsonView json(document, (folder / name).string());
    if (const auto text = json.find("chat_template"); text && text->value().is_string()) {
      chat_template = text->string();
    }
    const auto end = special_token(json, "eos_token");
    if (!end || end_of_sequence) continue;
    const auto found = added_ids.find(*end);
    end_of_sequence = found != added_ids.end() ? found->second : model->vocabulary().id(*end);
  }
}

void Tokenizer::Pipeline::encode_part(const std::string& text, bool starts_text,
                                      std::vector<TokenId>& ids) const {
  std::vector<std::string> words = {text};
  if (pre_tokenizer) pre_tokenizer->split(words, starts_text);
  for (const std::string& word : words) model->encode(word, ids);
}

Tokenizer::Tokenizer(const fs::path& folder) : pipeline_(std::make_unique<Pipeline>()) {
  const fs::path file = folder / "tokenizer.json";
  const bool fast = fs::exists(file);
  const Json document = fast ? read_json(file) : slow_tokenizer_json(folder);
  pipeline_->where = fast ? file.string() : folder.string();
  pipeline_->build(JsonView(document, pipeline_->where));
  pipeline_->read_config(folder);
}

Tokenizer::Tokenizer(std::string_view tokenizer_json, const std::string& where)
    : pipeline_(std::make_unique<Pipeline>()) {
  const Json document = parse_json(tokenizer_json, where);
  pipeline_->where = where;
  pipeline_->build(JsonView(document, where));
}

void Tokenizer::require_ids_below(std::int64_t vocabulary) { pipeline_->vocabulary = vocabulary; }

Tokenizer::~Tokenizer() = default;
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;

std::vector<TokenId> Tokenizer::encode(std::string_view text, SpecialTokens special) const {
  if (!is_valid_utf8(text)) throw Error("the text to encode is not valid UTF-8");
  std::vector<TokenId> ids;
  bool starts_text = true;
  for (TextPart& raw : pipeline_->raw_finder->split(std::string(text))) {
    if (raw.added >= 0) {
      ids.push_back(raw.added);
    } else {
      std::string normalized = std::move(raw.text);
      if (pipeline_->normalizer) {
        const std::size_t limit = most_bytes(normalized.size());
        normalized = pipeline_->normalizer->normalize(std::move(normalized), limit);
      }
      for (const TextPart& part : pipeline_->normalized_finder->split(normalized)) {
        if (part.added >= 0) {
          ids.push_back(part.added);
        } else {
          pipeline_->encode_part(part.text, starts_text, ids);
        }
        starts_text = false;
      }
    }
    starts_text = false;
  }
  if (special == SpecialTokens::kAdd && pipeline_->post_processor) {
    ids = pipeline_->post_processor->process(std::move(ids));
  }
  if (pipeline_->vocabulary) pipeline_->require_known(ids);
  return ids;
}

std::string Tokenizer::decode(const std::vector<TokenId>& ids) const {
  std::vector<std::string> tokens;
  for (const TokenId id : ids) {
    const auto found = pipeline_->added.find(id);
    if (found != pipeline_->added.end()) {
      if (!found->second.special) tokens.push_back(found->second.content);
    } else if (pipeline_->model->vocabulary().contains_id(id)) {
      tokens.push_back(pipeline_->model->vocabulary().token(id));
    }
  }
  std::string text;
  if (!pipeline_->decoder) {
    for (std::size_t i = 0; i < tokens.size(); ++i) text += (i > 0 ? " " : "") + tokens[i];
    return text;
  }
  for (const std::string& piece : pipeline_->decoder->decode(std::move(tokens))) text += piece;
  return text;
}

std::optional<TokenId> Tokenizer::end_of_sequence() const { return pipeline_->end_of_sequence; }

const std::string& Tokenizer::chat_template() const { return pipeline_->chat_template; }

}  // namespace taskneuron

#include "taskneuron/text/gguf_tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <unordered_map>

#include "base/json.h"
#include "taskneuron/base/error.h"
#include "text/byte_level.h"
#include "text/unicode.h"

namespace taskneuron {

namespace {

// Follows transformers' integrations/gguf/gguf_tokenizer_mapping.py, and the tokenizers that those
// models came with where that leaves something out.

constexpr double kControl = 3, kUserDefined = 4;  // types of tokens

constexpr const char* kSpaceMark = "\xE2\x96\x81";  // ▁

constexpr const char* kLlama3Words =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kQwen2Words =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kTekkenWords =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kGpt4oWords =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

// How llama.cpp calls ways to cut text into words.
struct Split {
  const char* name;
  const char* words;               // null: GPT-2's own
  bool whole_words_first = false;  // a word that is a token is never cut
  bool composed = false;           // text is put into Unicode's form C first
  bool digits = false;             // each digit is a word
};
constexpr Split kSplits[] = {
    {"", nullptr},
    {"default", nullptr},
    {"gpt-2", nullptr},
    {"smollm", nullptr, false, false, true},
    {"llama3", kLlama3Words, true},
    {"llama-v3", kLlama3Words, true},
    {"llama-bpe", kLlama3Words, true},
    {"dbrx", kLlama3Words},
    {"smaug-bpe", kLlama3Words},
    {"qwen2", kQwen2Words, false, true},
    {"deepseek-r1-qwen", kQwen2Words, false, true},
    {"tekken", kTekkenWords},
    {"gpt-4o", kGpt4oWords},
};

const Split& split_of(const GgufVocabulary& v) {
  std::string names;
  for (const Split& split : kSplits) {
    if (v.split == split.name) return split;
    if (*split.name != '\0') names += (names.empty() ? "" : ", ") + std::string(split.name);
  }
  throw Error(fmt::format(
      "{}: 'tokenizer.ggml.pre': a tokenizer that cuts words as '{}' is not known; known are {}",
      v.where, v.split, names));
}

Json byte_level(bool use_regex) {
  return {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", use_regex}};
}

bool in_byte_alphabet(std::string_view token) {
  for (std::size_t at = 0; at < token.size();) {
    if (!character_byte(next_code_point(token, at))) return false;
  }
  return true;
}

std::string in_bytes(std::string_view token) {
  std::string result;
  for (const char c : token) result += byte_character(static_cast<unsigned char>(c));
  return result;
}

// A token of a file, as its tokenizer.json has it.
std::string spelled(const GgufVocabulary& v, std::string_view token) {
  if (v.model == "gpt2") return in_byte_alphabet(token) ? std::string(token) : in_bytes(token);
  // Gemma's runs of spaces.
  const bool spaces = !token.empty() && token.find_first_not_of(' ') == std::string_view::npos;
  if (!spaces || !v.architecture.starts_with("gemma")) return std::string(token);
  std::string marks;
  for (std::size_t i = 0; i < token.size(); ++i) marks += kSpaceMark;
  return marks;
}

struct Merge {
  std::string_view left, right;
  double score = 0;
  std::int64_t left_length = 0, right_length = 0;  // in code points
};

// Merges that make every token of two others, the better scores first; of equal ones, longer left
// parts and then longer right ones. Scores of Gemma's files do not follow its merges, the order of
// its tokens does.
std::vector<Merge> derived_merges(const GgufVocabulary& v, const std::vector<std::string>& tokens,
                                  const std::unordered_map<std::string_view, std::int64_t>& ids) {
  const bool by_order = v.architecture.starts_with("gemma");
  std::vector<Merge> merges;
  std::size_t bytes = 0;  // as tokenizer.json writes them
  std::vector<bool> done(tokens.size(), false);
  for (const std::string& token : tokens) {
    // A token that is there twice has the id of the last.
    const auto id = static_cast<std::size_t>(ids.at(token));
    if (done[id]) continue;
    // Every cut of it is tried.
    constexpr std::size_t kMostBytes = 1024;
    if (token.size() > kMostBytes) {
      throw Error(
          fmt::format("{}: 'tokenizer.ggml.tokens': token {} has {} bytes; no more than {} "
                      "are taken where there are no merges",
                      v.where, id, token.size(), kMostBytes));
    }
    done[id] = true;
    const double score = by_order ? -static_cast<double>(id) : v.scores[id];
    std::int64_t length = 0;
    for (std::size_t at = 0; at < token.size(); ++length) next_code_point(token, at);
    std::vector<std::pair<std::pair<std::int64_t, std::int64_t>, Merge>> own;
    std::int64_t left = 0;
    for (std::size_t at = 0; at < token.size();) {
      next_code_point(token, at);
      ++left;
      const std::string_view first = std::string_view(token).substr(0, at);
      const std::string_view second = std::string_view(token).substr(at);
      const auto a = ids.find(first), b = ids.find(second);
      if (second.empty() || a == ids.end() || b == ids.end()) continue;
      own.push_back({{a->second, b->second}, {first, second, score, left, length - left}});
    }
    std::sort(own.begin(), own.end(),
              [](const auto& x, const auto& y) { return x.first < y.first; });
    constexpr std::size_t kMostMerges = std::size_t{1} << 27, kAround = 32;
    bytes += own.size() * (token.size() + kAround);
    if (bytes > kMostMerges) {
      throw Error(
          fmt::format("{}: 'tokenizer.ggml.tokens' can be made of one another in so many ways that "
                      "their merges take over {} bytes",
                      v.where, kMostMerges));
    }
    for (const auto& item : own) merges.push_back(item.second);
  }
  std::stable_sort(merges.begin(), merges.end(), [](const Merge& x, const Merge& y) {
    return std::tuple(x.score, x.left_length, x.right_length) >
           std::tuple(y.score, y.left_length, y.right_length);
  });
  return merges;
}

Json merges_of(const GgufVocabulary& v, const std::vector<std::string>& tokens,
               const std::unordered_map<std::string_view, std::int64_t>& ids) {
  Json merges = Json::array();
  if (v.merges) {
    for (const std::string_view merge : *v.merges) {
      const std::size_t space = merge.find(' ', 1);
      if (space == std::string_view::npos || !is_valid_utf8(merge)) {
        throw Error(fmt::format("{}: 'tokenizer.ggml.merges' holds what is no merge", v.where));
      }
      merges.push_back({std::string(merge.substr(0, space)), std::string(merge.substr(space + 1))});
    }
    return merges;
  }
  if (v.model == "gpt2" ||
      (v.scores.size() != tokens.size() && !v.architecture.starts_with("gemma"))) {
    throw Error(fmt::format(
        "{}: neither 'tokenizer.ggml.merges' nor a score of every token is there", v.where));
  }
  for (const Merge& merge : derived_merges(v, tokens, ids)) {
    merges.push_back({std::string(merge.left), std::string(merge.right)});
  }
  return merges;
}

// Added tokens: what a file marks as control or as its user's, and the special ones by their ids.
Json added_tokens(const GgufVocabulary& v, const std::vector<std::string>& tokens,
                  const std::unordered_map<std::string_view, std::int64_t>& ids) {
  std::map<std::int64_t, Json> added;
  const auto add = [&](std::int64_t id, bool special) {
    const std::string& content = tokens[static_cast<std::size_t>(id)];
    if (content.empty() || ids.at(content) != id) return;
    added[id] = {{"id", id},          {"content", content}, {"single_word", false},
                 {"lstrip", false},   {"rstrip", false},    {"normalized", false},
                 {"special", special}};
  };
  for (std::size_t i = 0; i < v.types.size(); ++i) {
    const bool control = v.types[i] == kControl;
    if (!control && v.types[i] != kUserDefined) continue;
    // Of a byte-level vocabulary, what is not in its alphabet is mislabelled.
    if (v.model == "gpt2" && !in_byte_alphabet(v.tokens[i])) continue;
    add(static_cast<std::int64_t>(i), control);
  }
  for (const auto& id : {v.beginning, v.end, v.unknown, v.padding}) {
    if (id) add(*id, true);
  }
  Json result = Json::array();
  for (auto& item : added) result.push_back(std::move(item.second));
  return result;
}

Json template_of(const GgufVocabulary& v, const std::vector<std::string>& tokens) {
  Json single = Json::array(), special = Json::object();
  const auto put = [&](const std::optional<std::int64_t>& id) {
    const std::string& token = tokens[static_cast<std::size_t>(*id)];
    single.push_back({{"SpecialToken", {{"id", token}, {"type_id", 0}}}});
    special[token] = {{"id", token}, {"ids", {*id}}, {"tokens", {token}}};
  };
  if (v.add_beginning && v.beginning) put(v.beginning);
  single.push_back({{"Sequence", {{"id", "A"}, {"type_id", 0}}}});
  if (v.add_end && v.end) put(v.end);
  return {{"type", "TemplateProcessing"},
          {"single", single},
          {"pair", Json::array({{{"Sequence", {{"id", "A"}, {"type_id", 0}}}},
                                {{"Sequence", {{"id", "B"}, {"type_id", 1}}}}})},
          {"special_tokens", special}};
}

void set_byte_level(Json& json, const GgufVocabulary& v) {
  const Split& split = split_of(v);
  Json words = byte_level(true);
  if (split.words != nullptr) {
    const Json cut = {{"type", "Split"},
                      {"pattern", {{"Regex", split.words}}},
                      {"behavior", "Isolated"},
                      {"invert", false}};
    words = {{"type", "Sequence"}, {"pretokenizers", Json::array({cut, byte_level(false)})}};
  } else if (split.digits) {
    const Json digits = {{"type", "Digits"}, {"individual_digits", true}};
    words = {{"type", "Sequence"}, {"pretokenizers", Json::array({digits, byte_level(true)})}};
  }
  json["pre_tokenizer"] = words;
  json["decoder"] = byte_level(true);
  if (split.composed) json["normalizer"] = {{"type", "NFC"}};
  json["model"]["ignore_merges"] = split.whole_words_first;
}

void set_sentencepiece(Json& json, const GgufVocabulary& v,
                       const std::vector<std::string>& tokens) {
  json["model"]["byte_fallback"] = json["model"]["fuse_unk"] = true;
  if (v.unknown) json["model"]["unk_token"] = tokens[static_cast<std::size_t>(*v.unknown)];
  const Json mark_to_space = {
      {"type", "Replace"}, {"pattern", {{"String", kSpaceMark}}}, {"content", " "}};
  const Json space_to_mark = {
      {"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", kSpaceMark}};
  Json decoders = Json::array({mark_to_space, {{"type", "ByteFallback"}}, {{"type", "Fuse"}}});
  if (v.architecture.starts_with("gemma")) {
    json["normalizer"] = space_to_mark;
    json["pre_tokenizer"] = {{"type", "Split"},
                             {"pattern", {{"String", " "}}},
                             {"behavior", "MergedWithPrevious"},
                             {"invert", false}};
  } else if (v.architecture == "phi3") {
    const Json prepend = {{"type", "Prepend"}, {"prepend", kSpaceMark}};
    json["normalizer"] = {{"type", "Sequence"},
                          {"normalizers", Json::array({prepend, space_to_mark})}};
    decoders.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  } else {
    json["pre_tokenizer"] = {{"type", "Metaspace"},
                             {"replacement", kSpaceMark},
                             {"prepend_scheme", v.add_space_prefix ? "first" : "never"},
                             {"split", false}};
    if (v.add_space_prefix) {
      decoders.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
    }
  }
  json["decoder"] = {{"type", "Sequence"}, {"decoders", decoders}};
}

void check(const GgufVocabulary& v) {
  if (v.model != "llama" && v.model != "gpt2") {
    throw Error(
        fmt::format("{}: 'tokenizer.ggml.model': a tokenizer '{}' is not known; known are "
                    "llama and gpt2",
                    v.where, v.model));
  }
  for (std::size_t i = 0; i < v.tokens.size(); ++i) {
    if (is_valid_utf8(v.tokens[i])) continue;
    throw Error(fmt::format("{}: 'tokenizer.ggml.tokens': token {} is no UTF-8", v.where, i));
  }
  if (!v.types.empty() && v.types.size() != v.tokens.size()) {
    throw Error(fmt::format("{}: 'tokenizer.ggml.token_type' has {} items for {} tokens", v.where,
                            v.types.size(), v.tokens.size()));
  }
  for (const auto& id : {v.beginning, v.end, v.unknown, v.padding}) {
    if (!id || (*id >= 0 && *id < static_cast<std::int64_t>(v.tokens.size()))) continue;
    throw Error(fmt::format("{}: names token {} as a special one, of {} tokens", v.where, *id,
                            v.tokens.size()));
  }
}

}  // namespace

TokenizerFiles gguf_tokenizer(const GgufVocabulary& v) {
  check(v);
  std::vector<std::string> tokens;
  tokens.reserve(v.tokens.size());
  for (const std::string_view token : v.tokens) tokens.push_back(spelled(v, token));
  std::unordered_map<std::string_view, std::int64_t> ids;
  for (std::size_t i = 0; i < tokens.size(); ++i) ids[tokens[i]] = static_cast<std::int64_t>(i);

  Json json = {{"version", "1.0"}, {"truncation", nullptr}, {"padding", nullptr}};
  json["normalizer"] = json["pre_tokenizer"] = nullptr;
  Json vocabulary = Json::object();
  for (const auto& [token, id] : ids) vocabulary[std::string(token)] = id;
  json["model"] = {{"type", "BPE"}, {"vocab", std::move(vocabulary)}};
  json["model"]["merges"] = merges_of(v, tokens, ids);
  if (v.model == "gpt2") {
    set_byte_level(json, v);
  } else {
    set_sentencepiece(json, v, tokens);
  }
  json["post_processor"] = template_of(v, tokens);
  json["added_tokens"] = added_tokens(v, tokens, ids);

  OutputJson config = {{"tokenizer_class", "PreTrainedTokenizerFast"},
                       {"clean_up_tokenization_spaces", false}};
  const auto name = [&](const char* key, const std::optional<std::int64_t>& id) {
    if (id) config[key] = tokens[static_cast<std::size_t>(*id)];
  };
  name("bos_token", v.beginning);
  name("eos_token", v.end);
  name("unk_token", v.unknown);
  name("pad_token", v.padding);
  if (!v.chat_template.empty()) config["chat_template"] = v.chat_template;
  return {json.dump() + "\n", json_text(config, 2) + "\n"};
}

}  // namespace taskneuron

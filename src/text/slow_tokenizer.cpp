#include "text/slow_tokenizer.h"

#include <fmt/format.h>

#include <map>
#include <sstream>

#include "base/file.h"
#include "taskneuron/base/error.h"

namespace taskneuron {

namespace fs = std::filesystem;

namespace {

Json read_merges_file(const fs::path& path) {
  Json merges = Json::array();
  std::istringstream lines(read_file(path));
  for (std::string line; std::getline(lines, line);) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (!line.empty() && line.rfind("#version", 0) != 0) merges.push_back(line);
  }
  return merges;
}

Json byte_level(bool add_prefix_space, bool use_regex) {
  return {{"type", "ByteLevel"}, {"add_prefix_space", add_prefix_space}, {"use_regex", use_regex}};
}

// Qwen2's own cut of text into words (transformers, convert_slow_tokenizer.py).
Json qwen2_pre_tokenizer() {
  constexpr const char* kWords =
      R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  const Json split = {
      {"type", "Split"}, {"pattern", {{"Regex", kWords}}}, {"behavior", "Isolated"}};
  return {{"type", "Sequence"}, {"pretokenizers", Json::array({split, byte_level(false, false)})}};
}

// Added tokens by id: those of added_tokens_decoder, and the special ones named one by one.
Json added_tokens(const JsonView& config, const JsonView& vocabulary) {
  std::map<std::int64_t, Json> tokens;
  if (const auto list = config.find("added_tokens_decoder")) {
    for (const auto& [id, token] : list->object().items()) {
      const JsonView entry(token, fmt::format("{}: '{}'", list->where(), id));
      if (id.empty() || id.size() > 9 || id.find_first_not_of("0123456789") != std::string::npos) {
        entry.fail("the key is not an id");
      }
      entry.object();
      Json copy = token;
      copy["id"] = std::stoll(id);
      tokens[std::stoll(id)] = copy;
    }
  }
  for (const char* key : {"bos_token", "eos_token", "unk_token", "pad_token"}) {
    const auto field = config.find(key);
    if (!field) continue;
    Json token = field->value().is_object() ? field->value() : Json{{"content", field->string()}};
    const auto id = vocabulary.find(JsonView(token, field->where()).at("content").string());
    if (!id || tokens.count(id->integer()) != 0) continue;
    token["id"] = id->integer();
    token["special"] = true;
    tokens[id->integer()] = token;
  }
  Json result = Json::array();
  for (const auto& item : tokens) result.push_back(item.second);
  return result;
}

Json bos_template(const JsonView& config, const JsonView& vocabulary) {
  const JsonView bos = config.at("bos_token");
  const std::string token = bos.value().is_object() ? bos.at("content").string() : bos.string();
  return {{"type", "TemplateProcessing"},
          {"single", {{{"SpecialToken", {{"id", token}}}}, {{"Sequence", {{"id", "A"}}}}}},
          {"special_tokens", {{token, {{"ids", {vocabulary.at(token).integer()}}}}}}};
}

}  // namespace

Json slow_tokenizer_json(const fs::path& folder) {
  for (const char* name : {"vocab.json", "merges.txt", "tokenizer_config.json"}) {
    if (fs::exists(folder / name)) continue;
    throw Error(
        fmt::format("{}: neither tokenizer.json nor {} is there; a tokenizer needs "
                    "tokenizer.json, or vocab.json, merges.txt and tokenizer_config.json",
                    folder.string(), name));
  }
  const fs::path config_path = folder / "tokenizer_config.json";
  const Json config_document = read_json(config_path);
  const JsonView config(config_document, config_path.string());
  Json result;
  result["model"] = {{"type", "BPE"},
                     {"vocab", read_json(folder / "vocab.json")},
                     {"merges", read_merges_file(folder / "merges.txt")}};
  const JsonView vocabulary(result["model"]["vocab"], (folder / "vocab.json").string());
  const std::string kind = config.at("tokenizer_class").string();
  if (kind == "Qwen2Tokenizer" || kind == "Qwen2TokenizerFast") {
    result["normalizer"] = {{"type", "NFC"}};
    result["pre_tokenizer"] = qwen2_pre_tokenizer();
  } else if (kind == "GPT2Tokenizer" || kind == "GPT2TokenizerFast") {
    result["pre_tokenizer"] = byte_level(config.boolean_or("add_prefix_space", false), true);
    if (config.boolean_or("add_bos_token", false)) {
      result["post_processor"] = bos_template(config, vocabulary);
    }
  } else {
    config.fail(
        fmt::format("tokenizer_class '{}' without tokenizer.json is not supported; save the "
                    "tokenizer with Transformers to get one",
                    kind));
  }
  result["decoder"] = {{"type", "ByteLevel"}};
  result["added_tokens"] = added_tokens(config, vocabulary);
  return result;
}

}  // namespace taskneuron

#include "recipe/gguf_vocabulary.h"

namespace taskneuron {

GgufVocabulary gguf_vocabulary(const GgufFile& file) {
  const GgufMetadata& data = file.metadata();
  const auto key = [](const char* name) { return std::string("tokenizer.ggml.") + name; };
  GgufVocabulary v;
  v.where = data.where();
  v.architecture = data.string("general.architecture");
  v.model = data.string(key("model"));
  if (data.contains(key("pre"))) v.split = data.string(key("pre"));
  v.tokens = data.strings(key("tokens"));
  if (data.contains(key("scores"))) v.scores = data.numbers(key("scores"));
  if (data.contains(key("token_type"))) v.types = data.numbers(key("token_type"));
  if (v.types.empty() && data.contains(key("token_type"))) {
    data.fail(key("token_type"), "is empty");
  }
  if (data.contains(key("merges"))) v.merges = data.strings(key("merges"));
  const auto id = [&](const char* name, std::optional<std::int64_t>& to) {
    if (data.contains(key(name))) to = data.integer(key(name));
  };
  id("bos_token_id", v.beginning);
  id("eos_token_id", v.end);
  id("unknown_token_id", v.unknown);
  id("padding_token_id", v.padding);
  // Older files do not say; llama.cpp puts it in front of SentencePiece's.
  v.add_beginning = data.boolean_or(key("add_bos_token"), v.model == "llama");
  v.add_end = data.boolean_or(key("add_eos_token"), false);
  v.add_space_prefix = data.boolean_or(key("add_space_prefix"), true);
  if (data.contains("tokenizer.chat_template")) {
    v.chat_template = data.string("tokenizer.chat_template");
  }
  return v;
}

}  // namespace taskneuron

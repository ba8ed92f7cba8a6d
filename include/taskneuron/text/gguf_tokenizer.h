#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace taskneuron {

// What a GGUF file says of its tokenizer (its keys tokenizer.*); borrows the file.
struct GgufVocabulary {
  std::string where;         // what errors call the file
  std::string architecture;  // general.architecture
  std::string model;         // "llama" (SentencePiece) or "gpt2" (byte-level)
  std::string split;         // how byte-level text is cut into words, "" where it is not said
  std::vector<std::string_view> tokens;  // by id
  std::vector<double> scores;            // of SentencePiece's tokens, by id; may be empty
  std::vector<double> types;             // of tokens, as llama.cpp numbers them; may be empty
  std::optional<std::vector<std::string_view>> merges;  // "left right", the first ones first
  std::optional<std::int64_t> beginning, end, unknown, padding;  // ids
  bool add_beginning = false;
  bool add_end = false;
  bool add_space_prefix = true;
  std::string chat_template;
};

// The files tokenizer.json and tokenizer_config.json that Transformers would make of it: merges
// that the file lacks follow from the vocabulary. Throws Error for a model or a way to cut words
// that is not known, for tokens that are no UTF-8, and for ids outside the vocabulary.
struct TokenizerFiles {
  std::string tokenizer;
  std::string config;
};
TokenizerFiles gguf_tokenizer(const GgufVocabulary& vocabulary);

}  // namespace taskneuron

#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "text/token_model.h"

namespace taskneuron {

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

// Byte-pair encoding (Sennrich et al. 2016), as Hugging Face tokenizers does it. where: named in
// the Error for a merge whose parts or result are not in the vocabulary.
std::unique_ptr<TokenModel> make_bpe(Vocabulary vocabulary, const std::vector<Merge>& merges,
                                     BpeOptions options, const std::string& where);

std::unique_ptr<TokenModel> make_bpe(const JsonView& json);

// "a b" of a merges list or file. Throws Error (naming where) unless it is two parts.
Merge parse_merge(const std::string& text, const std::string& where);

}  // namespace taskneuron

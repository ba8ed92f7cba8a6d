#pragma once

#include <memory>

#include "text/token_model.h"

namespace taskneuron {

// Byte-pair encoding (Sennrich et al. 2016), as Hugging Face tokenizers does it. From
// tokenizer.json's "model" of type BPE. Throws Error for a merge whose parts or result are not in
// the vocabulary.
std::unique_ptr<TokenModel> make_bpe(const JsonView& json);

}  // namespace taskneuron

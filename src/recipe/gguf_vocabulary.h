#pragma once

#include "taskneuron/checkpoint/gguf.h"
#include "taskneuron/text/gguf_tokenizer.h"

namespace taskneuron {

// What a file says of its tokenizer. Throws Error for what is missing or of another type.
GgufVocabulary gguf_vocabulary(const GgufFile& file);

}  // namespace taskneuron

// A GGUF file: its header, config.json, tokenizer and tensors.
#include "taskneuron/checkpoint/gguf.h"

#include <ATen/ATen.h>

#include "fuzz.h"
#include "memory_file.h"
#include "recipe/gguf_vocabulary.h"
#include "taskneuron/checkpoint/gguf_model.h"
#include "taskneuron/checkpoint/model_config.h"
#include "taskneuron/text/gguf_tokenizer.h"
#include "taskneuron/text/tokenizer.h"

namespace {

using namespace taskneuron;

// What one part refuses does not keep the others from being tried.
template <typename Part>
void part(const Part& run) {
  try {
    run();
  } catch (const Error&) {
  }
}

void read(std::string_view input) {
  static MemoryFile file;
  file.write(input);
  const GgufFile gguf(file.path());
  part([&] { parse_model_config(gguf_config_json(gguf, at::kFloat), "input"); });
  part([&] {
    const TokenizerFiles made = gguf_tokenizer(gguf_vocabulary(gguf));
    const Tokenizer tokenizer(made.tokenizer, "input");
    tokenizer.decode(tokenizer.encode("the \xC3\xA9t\xC3\xA9", SpecialTokens::kAdd));
  });
  part([&] {
    for (const TensorSource& source : gguf_tensors(gguf, at::kFloat)) {
      if (source.make().sizes() != source.shape) __builtin_trap();
    }
  });
}

}  // namespace

TASKNEURON_FUZZ(read)

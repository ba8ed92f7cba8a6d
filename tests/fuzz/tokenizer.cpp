// A tokenizer.json, a zero byte, and a text that it encodes and decodes again.
#include "taskneuron/text/tokenizer.h"

#include "fuzz.h"

namespace {

void read(std::string_view input) {
  using namespace taskneuron;
  const std::size_t end = std::min(input.find('\0'), input.size());
  const Tokenizer tokenizer(input.substr(0, end), "input");
  const std::string_view text = end < input.size() ? input.substr(end + 1) : "Hello, world  1234";
  const auto ids = tokenizer.encode(text.substr(0, 256), SpecialTokens::kAdd);
  tokenizer.decode(ids);
}

}  // namespace

TASKNEURON_FUZZ(read)

#include "text/token_model_types.h"

#include <fmt/format.h>

#include "text/bpe.h"
#include "text/word_level.h"

namespace taskneuron {

std::unique_ptr<TokenModel> make_token_model(const JsonView& json) {
  // Older files carry no type; they are byte-pair encodings.
  const std::string type = json.string_or("type", json.find("merges") ? "BPE" : "(none)");
  if (type == "BPE") return make_bpe(json);
  if (type == "WordLevel") return make_word_level(json);
  json.fail(fmt::format("tokenizer model '{}' is not supported; BPE and WordLevel are", type));
}

}  // namespace taskneuron

#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace taskneuron {

enum class SpecialTokens { kLeaveOut, kAdd };

// A Hugging Face tokenizer: normalizer, pre-tokenizer, model, post-processor and decoder as
// tokenizer.json describes them, encoding and decoding exactly as the library `tokenizers` does.
// Keeps a cache of words: use one per thread.
class Tokenizer {
 public:
  // Reads tokenizer.json of a folder, or vocab.json and merges.txt where tokenizer_config.json
  // names a class that they suffice for. Throws Error naming a component that is not supported.
  explicit Tokenizer(const std::filesystem::path& folder);
  // Of a tokenizer.json in memory; where: what errors call it.
  Tokenizer(std::string_view tokenizer_json, const std::string& where);
  ~Tokenizer();
  Tokenizer(Tokenizer&&) noexcept;

  // From now on encode() refuses ids that a model with that many tokens has no row for. Tokens
  // beyond them that no text uses do no harm: folders of the hub have some.
  void require_ids_below(std::int64_t vocabulary);

  // Ids of a text; kAdd puts what the post-processor adds around it. Throws Error for invalid
  // UTF-8.
  std::vector<std::int64_t> encode(std::string_view text, SpecialTokens special) const;
  // Text of ids, special tokens left out. Ids outside the vocabulary are skipped.
  std::string decode(const std::vector<std::int64_t>& ids) const;

  // From tokenizer_config.json or special_tokens_map.json, if there.
  std::optional<std::int64_t> end_of_sequence() const;
  // Jinja source of the chat template, or "".
  const std::string& chat_template() const;

 private:
  struct Pipeline;
  std::unique_ptr<Pipeline> pipeline_;
};

}  // namespace taskneuron

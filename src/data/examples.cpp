#include "taskneuron/data/examples.h"

#include <fmt/format.h>

#include <algorithm>

#include "taskneuron/base/error.h"

namespace taskneuron {

namespace {

using Ids = std::vector<std::int64_t>;

std::int64_t size_of(const Ids& ids) { return static_cast<std::int64_t>(ids.size()); }

std::int64_t common_prefix(const Ids& a, const Ids& b) {
  return std::mismatch(a.begin(), a.begin() + std::min(size_of(a), size_of(b)), b.begin()).first -
         a.begin();
}

bool is_continuation(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) == 0x80; }

std::int64_t count_characters(const std::string& text) {
  return std::count_if(text.begin(), text.end(), [](char c) { return !is_continuation(c); });
}

PromptFields fields_of(const TaskRow& row, const std::string& output) {
  return {row.instruction, row.input, output};
}

}  // namespace

ExampleEncoder::ExampleEncoder(const Tokenizer& tokenizer, const PromptTemplate& prompt,
                               EncoderOptions options)
    : tokenizer_(tokenizer), template_(prompt), options_(options) {}

// Prompt and answer as one text, without the end-of-sequence that some post-processors append.
Ids ExampleEncoder::full_ids(const PromptFields& fields) const {
  Ids ids =
      tokenizer_.encode(template_.prompt(fields) + template_.answer(fields), SpecialTokens::kAdd);
  if (!ids.empty() && ids.back() == options_.end_of_sequence) ids.pop_back();
  return ids;
}

Ids ExampleEncoder::prompt_ids(const PromptFields& fields) const {
  Ids ids = tokenizer_.encode(template_.prompt(fields), SpecialTokens::kAdd);
  if (ids.size() > 1 && ids.back() == options_.end_of_sequence) ids.pop_back();
  return ids;
}

// Cuts the end of the input until tokens_needed() fits; returns whether it cut.
template <typename Fits>
bool ExampleEncoder::shorten(PromptFields& fields, const Fits& tokens_needed,
                             const std::string& where) const {
  if (tokens_needed(fields) <= options_.max_tokens) return false;
  const std::string whole = fields.input;
  fields.input.clear();
  const std::int64_t without_input = tokens_needed(fields);
  if (without_input > options_.max_tokens) {
    throw Error(
        fmt::format("{}: instruction and answer alone need {} tokens, the context has {}; "
                    "shorten them or raise `max_length`",
                    where, without_input, options_.max_tokens));
  }
  std::size_t fits = 0, too_long = whole.size();  // bytes of the input that are kept
  while (too_long - fits > 1) {
    std::size_t middle = fits + (too_long - fits) / 2;
    while (middle > fits && is_continuation(whole[middle])) --middle;
    if (middle == fits) {  // only one character lies between
      middle = fits + (too_long - fits) / 2;
      while (middle < too_long && is_continuation(whole[middle])) ++middle;
      if (middle == too_long) break;
    }
    fields.input = whole.substr(0, middle);
    (tokens_needed(fields) <= options_.max_tokens ? fits : too_long) = middle;
  }
  fields.input = whole.substr(0, fits);
  return true;
}

AnswerExample ExampleEncoder::encode(const TaskRow& row, const std::string& where) const {
  PromptFields fields = fields_of(row, row.output);
  AnswerExample example;
  example.truncated = shorten(
      fields, [this](const PromptFields& f) { return size_of(full_ids(f)) + 1; }, where);
  example.ids = full_ids(fields);
  const std::int64_t prefix = common_prefix(example.ids, prompt_ids(fields));
  example.ids.push_back(options_.end_of_sequence);
  example.answer_tokens = size_of(example.ids) - prefix;
  if (prefix == 0) throw Error(fmt::format("{}: the prompt tokenizes to nothing", where));
  return example;
}

RankedExample ExampleEncoder::encode_labels(const TaskRow& row, const std::string& where) const {
  PromptFields fields = fields_of(row, row.output);
  // Each label is put behind the whole text: where tokens begin may depend on what follows.
  constexpr std::size_t kMostBytes = std::size_t{1} << 26;
  const std::size_t bytes = fields.instruction.size() + fields.input.size();
  if (bytes > kMostBytes / std::max<std::size_t>(1, row.labels.size())) {
    throw Error(
        fmt::format("{}: {} labels, each of which goes behind a text of {} bytes; at most "
                    "{} bytes are ranked for one row",
                    where, row.labels.size(), bytes, kMostBytes));
  }
  const auto with_label = [&](PromptFields of, const std::string& label) {
    of.output = label;
    return full_ids(of);
  };
  const auto tokens_needed = [&](const PromptFields& of) {
    std::int64_t longest = 0;
    for (const std::string& label : row.labels) {
      longest = std::max(longest, size_of(with_label(of, label)) + 1);
    }
    return longest;
  };
  RankedExample example;
  example.truncated = shorten(fields, tokens_needed, where);
  const Ids prompt = prompt_ids(fields);
  std::vector<std::int64_t> shared;  // with the prompt, of every label
  for (std::size_t i = 0; i < row.labels.size(); ++i) {
    const Ids full = with_label(fields, row.labels[i]);
    shared.push_back(common_prefix(full, prompt));
    RankedExample::Label& label = example.labels.emplace_back();
    label.ids.assign(full.begin() + shared.back(), full.end());
    label.scored_tokens = size_of(label.ids);
    label.characters = count_characters(row.labels[i]);
    if (label.scored_tokens == 0) {
      throw Error(fmt::format("{}: label '{}' tokenizes to nothing, so it cannot be ranked", where,
                              row.labels[i]));
    }
    if (row.labels[i] == row.output) example.gold = static_cast<std::int64_t>(i);
  }
  const std::int64_t trunk =
      shared.empty() ? size_of(prompt) : *std::min_element(shared.begin(), shared.end());
  if (trunk == 0) throw Error(fmt::format("{}: the prompt tokenizes to nothing", where));
  example.trunk.assign(prompt.begin(), prompt.begin() + trunk);
  for (std::size_t i = 0; i < shared.size(); ++i) {
    Ids& ids = example.labels[i].ids;
    ids.insert(ids.begin(), prompt.begin() + trunk, prompt.begin() + shared[i]);
  }
  return example;
}

std::int64_t ExampleEncoder::answer_tokens(const TaskRow& row) const {
  const std::string answer = template_.answer(fields_of(row, row.output));
  return size_of(tokenizer_.encode(answer, SpecialTokens::kLeaveOut)) + 1;
}

Ids ExampleEncoder::encode_prompt(const TaskRow& row, std::int64_t reserve,
                                  const std::string& where, bool* truncated) const {
  PromptFields fields = fields_of(row, "");
  const bool cut = shorten(
      fields, [&](const PromptFields& f) { return size_of(prompt_ids(f)) + reserve; }, where);
  if (truncated != nullptr) *truncated = cut;
  return prompt_ids(fields);
}

}  // namespace taskneuron

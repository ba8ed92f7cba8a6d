#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "taskneuron/data/task.h"
#include "taskneuron/text/prompt_template.h"
#include "taskneuron/text/tokenizer.h"

namespace taskneuron {

// A prompt with its right answer: ids end with the answer's tokens and end-of-sequence.
struct AnswerExample {
  std::vector<std::int64_t> ids;
  std::int64_t answer_tokens = 0;  // at the end of ids, end-of-sequence included
  bool truncated = false;
};

// A prompt with every label as its answer. Ids of label i: trunk followed by labels[i].ids.
struct RankedExample {
  struct Label {
    std::vector<std::int64_t> ids;   // without end-of-sequence
    std::int64_t scored_tokens = 0;  // how many at the end are the label's own
    std::int64_t characters = 0;     // of the label's text, for rank-norm
  };
  std::vector<std::int64_t> trunk;  // what all labels have in common
  std::vector<Label> labels;
  std::int64_t gold = 0;
  bool truncated = false;
};

struct EncoderOptions {
  std::int64_t max_tokens = 0;  // of a whole example, end-of-sequence included
  std::int64_t end_of_sequence = 0;
};

// Turns rows into ids (method, "Example loss"). An example that is too long loses the end of its
// input, never instruction or answer. Borrows tokenizer and template.
class ExampleEncoder {
 public:
  ExampleEncoder(const Tokenizer& tokenizer, const PromptTemplate& prompt, EncoderOptions options);

  // where: "path:line" for errors. Throws Error when instruction and answer alone are too long, and
  // for an answer that tokenizes to nothing.
  AnswerExample encode(const TaskRow& row, const std::string& where) const;
  RankedExample encode_labels(const TaskRow& row, const std::string& where) const;
  // Ids of the prompt alone, leaving room for `reserve` tokens of answer.
  std::vector<std::int64_t> encode_prompt(const TaskRow& row, std::int64_t reserve,
                                          const std::string& where, bool* truncated) const;

  // Tokens of the row's answer as the template writes it, end-of-sequence included.
  std::int64_t answer_tokens(const TaskRow& row) const;

  const Tokenizer& tokenizer() const { return tokenizer_; }
  const EncoderOptions& options() const { return options_; }

 private:
  std::vector<std::int64_t> full_ids(const PromptFields& fields) const;
  std::vector<std::int64_t> prompt_ids(const PromptFields& fields) const;
  template <typename Fits>
  bool shorten(PromptFields& fields, const Fits& tokens_needed, const std::string& where) const;

  const Tokenizer& tokenizer_;
  const PromptTemplate& template_;
  EncoderOptions options_;
};

}  // namespace taskneuron

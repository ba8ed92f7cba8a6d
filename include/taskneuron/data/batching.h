#pragma once

#include <cstdint>
#include <vector>

#include "taskneuron/data/examples.h"
#include "taskneuron/model/batch.h"

namespace taskneuron {

// How much goes into one forward pass. A single example may exceed max_tokens.
struct BatchLimits {
  std::int64_t max_examples = 0;  // 0: as many as max_tokens allows
  std::int64_t max_tokens = 4096;
  // Texts that are generated side by side, whatever the length of their prompts (which still run
  // max_tokens at a time); 0: those of one forward pass.
  std::int64_t side_by_side = 0;
  std::int64_t workers = 1;  // forward passes that run at a time, each on its share of the threads
};

// Groups examples of similar length: numbers of examples, each group within the limits. The order
// of equal lengths is kept.
std::vector<std::vector<std::int64_t>> group_by_length(const std::vector<std::int64_t>& lengths,
                                                       const BatchLimits& limits);

// The same groups made smaller and of even size where that gives workers equal shares: a multiple
// of kEvenGroups, if each still holds enough tokens to be worth a pass. What is in a group depends
// on the limits' sizes alone, never on the number of workers or threads. Longest examples first.
constexpr std::int64_t kEvenGroups = 8;
std::vector<std::vector<std::int64_t>> even_groups(const std::vector<std::int64_t>& lengths,
                                                   const BatchLimits& limits);

// Examples side by side; the last token of each is only a target. Weights make the batch's loss the
// sum of the examples' mean losses. Sequence = example = position in `examples`.
Batch answer_batch(const std::vector<const AnswerExample*>& examples);

// The same with the first `prefix_tokens` tokens, which must be equal in all, as a segment of their
// own that runs once and counts towards example 0. Exact for what adds up over examples.
Batch shared_prefix_batch(const std::vector<const AnswerExample*>& examples,
                          std::int64_t prefix_tokens);

// Groups of examples, each behind its own shared prefix (of 0 tokens: none); examples are numbered
// through the groups in order.
struct PrefixGroup {
  std::vector<const AnswerExample*> examples;
  std::int64_t prefix_tokens = 0;
};
Batch shared_prefix_batch(const std::vector<PrefixGroup>& groups);

// The prefix alone, filling sequence 0 of a cache; and the rest of each example behind it.
Batch cached_prefix_batch(const AnswerExample& example, std::int64_t prefix_tokens);
Batch behind_prefix_batch(const std::vector<const AnswerExample*>& examples,
                          std::int64_t prefix_tokens);

// Longest prefix that all examples share and that ends before the first row that predicts an answer
// token (or a label's).
std::int64_t shared_prefix_tokens(const std::vector<AnswerExample>& examples);
std::int64_t shared_prefix_tokens(const std::vector<RankedExample>& examples);

// Prompts that run once with all their labels as branches. Sequences are numbered label by label,
// example by example, and one more per example reads the gold answer's end-of-sequence.
struct RankingBatch {
  Batch batch;
  std::vector<std::int64_t> first_sequence;  // of each example; its labels follow in order
  std::vector<std::int64_t> end_sequence;    // of each example's end-of-sequence
};
// The first `prefix_tokens` tokens, equal in all examples, run once.
RankingBatch ranking_batch(const std::vector<const RankedExample*>& examples,
                           std::int64_t end_of_sequence, std::int64_t prefix_tokens = 0);

// Tokens that ranking_batch runs for an example, prefix included.
std::int64_t ranking_tokens(const RankedExample& example);

}  // namespace taskneuron

#include "taskneuron/data/batching.h"

#include <algorithm>
#include <numeric>

#include "taskneuron/base/error.h"

namespace taskneuron {

namespace {

template <typename Value>
std::int64_t size_of(const std::vector<Value>& values) {
  return static_cast<std::int64_t>(values.size());
}

// Appends ids[begin, end) as a new segment whose positions start at `begin`.
Segment& append_segment(Batch& batch, const std::vector<std::int64_t>& ids, std::int64_t begin,
                        std::int64_t end) {
  Segment& segment = batch.segments.emplace_back();
  segment.begin = batch.tokens();
  for (std::int64_t i = begin; i < end; ++i) {
    batch.ids.push_back(ids[static_cast<std::size_t>(i)]);
    batch.positions.push_back(i);
  }
  segment.end = batch.tokens();
  return segment;
}

// Appends an example from token `begin` on, with its answer as targets.
Segment& append_answer(Batch& batch, const AnswerExample& example, std::int64_t begin) {
  const std::int64_t length = size_of(example.ids);
  const auto number = static_cast<int>(batch.examples++);
  ++batch.sequences;
  Segment& segment = append_segment(batch, example.ids, begin, length - 1);
  segment.example = number;
  segment.logit_rows = example.answer_tokens;
  for (std::int64_t i = length - example.answer_tokens; i < length; ++i) {
    batch.targets.push_back({segment.begin + i - 1 - begin,
                             example.ids[static_cast<std::size_t>(i)], number,
                             1.0 / static_cast<double>(example.answer_tokens)});
  }
  return segment;
}

// Appends a prompt from token `begin` on, with its labels as branches.
void append_ranked(RankingBatch& result, const RankedExample& example, std::int64_t begin,
                   std::int64_t end_of_sequence) {
  Batch& batch = result.batch;
  const auto number = static_cast<int>(batch.examples++);
  result.first_sequence.push_back(batch.sequences);
  const auto labels = static_cast<std::int64_t>(example.labels.size());
  result.end_sequence.push_back(batch.sequences + labels);

  const std::int64_t trunk = size_of(example.trunk);
  const std::int64_t first_row = batch.tokens();
  Segment segment = append_segment(batch, example.trunk, begin, trunk);
  batch.segments.pop_back();
  for (std::int64_t i = 0; i < labels; ++i) {
    const RankedExample::Label& label = example.labels[static_cast<std::size_t>(i)];
    const std::int64_t length = size_of(label.ids);
    const bool gold = i == example.gold;
    const std::int64_t fed = gold ? length : length - 1;  // nothing follows the last token
    const std::int64_t branch_row = batch.tokens();
    if (fed > 0) segment.branches.push_back(branch_row - first_row);
    for (std::int64_t k = 0; k < fed; ++k) {
      batch.ids.push_back(label.ids[static_cast<std::size_t>(k)]);
      batch.positions.push_back(trunk + k);
    }
    const auto row_before = [&](std::int64_t k) {
      return k == 0 ? first_row + trunk - begin - 1 : branch_row + k - 1;
    };
    for (std::int64_t k = length - label.scored_tokens; k < length; ++k) {
      batch.targets.push_back(
          {row_before(k), label.ids[static_cast<std::size_t>(k)], batch.sequences + i, 1});
    }
    if (gold) {
      batch.targets.push_back({row_before(length), end_of_sequence, result.end_sequence.back(), 1});
    }
  }
  segment.end = batch.tokens();
  segment.logit_rows = segment.end - first_row - (trunk - begin) + 1;
  segment.example = number;
  segment.prefix = begin > 0 ? 0 : -1;
  batch.segments.push_back(segment);
  batch.sequences += labels + 1;
}

// What texts have in common at their start, as they are added; at most `limit` tokens of each.
struct CommonPrefix {
  const std::vector<std::int64_t>* first = nullptr;
  std::int64_t tokens = 0;

  void add(const std::vector<std::int64_t>& ids, std::int64_t limit) {
    limit = std::max<std::int64_t>(0, limit);
    tokens = first == nullptr ? limit : std::min(tokens, limit);
    if (first == nullptr) first = &ids;
    tokens =
        std::mismatch(first->begin(), first->begin() + tokens, ids.begin()).first - first->begin();
  }
};

}  // namespace

std::vector<std::vector<std::int64_t>> group_by_length(const std::vector<std::int64_t>& lengths,
                                                       const BatchLimits& limits) {
  std::vector<std::int64_t> order(lengths.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) {
    return lengths[static_cast<std::size_t>(a)] < lengths[static_cast<std::size_t>(b)];
  });
  std::vector<std::vector<std::int64_t>> groups;
  std::int64_t tokens = 0;
  for (const std::int64_t example : order) {
    const std::int64_t length = lengths[static_cast<std::size_t>(example)];
    const bool full = !groups.empty() &&
                      ((limits.max_examples > 0 && size_of(groups.back()) >= limits.max_examples) ||
                       (limits.max_examples == 0 && tokens + length > limits.max_tokens));
    if (groups.empty() || full) {
      groups.emplace_back();
      tokens = 0;
    }
    groups.back().push_back(example);
    tokens += length;
  }
  return groups;
}

std::vector<std::vector<std::int64_t>> even_groups(const std::vector<std::int64_t>& lengths,
                                                   const BatchLimits& limits) {
  constexpr std::int64_t kEnoughTokens = 512;
  std::vector<std::vector<std::int64_t>> groups = group_by_length(lengths, limits);
  if (limits.max_examples == 0 && !lengths.empty()) {
    const std::int64_t total = std::accumulate(lengths.begin(), lengths.end(), std::int64_t{0});
    const std::int64_t longest = *std::max_element(lengths.begin(), lengths.end());
    const std::int64_t even = (size_of(groups) + kEvenGroups - 1) / kEvenGroups * kEvenGroups;
    BatchLimits smaller = limits;
    // A group may fall short of its limit by less than one example.
    smaller.max_tokens = std::min(limits.max_tokens, total / even + longest);
    if (total / even >= kEnoughTokens) groups = group_by_length(lengths, smaller);
  }
  std::reverse(groups.begin(), groups.end());
  return groups;
}

Batch answer_batch(const std::vector<const AnswerExample*>& examples) {
  Batch batch;
  for (const AnswerExample* example : examples) append_answer(batch, *example, 0);
  return batch;
}

Batch shared_prefix_batch(const std::vector<const AnswerExample*>& examples,
                          std::int64_t prefix_tokens) {
  return shared_prefix_batch({{examples, prefix_tokens}});
}

Batch shared_prefix_batch(const std::vector<PrefixGroup>& groups) {
  Batch batch;
  for (const PrefixGroup& group : groups) {
    int prefix = -1;
    if (group.prefix_tokens > 0) {
      prefix = static_cast<int>(batch.segments.size());
      append_segment(batch, group.examples.front()->ids, 0, group.prefix_tokens).example =
          static_cast<int>(batch.examples);
    }
    for (const AnswerExample* example : group.examples) {
      append_answer(batch, *example, group.prefix_tokens).prefix = prefix;
    }
  }
  return batch;
}

Batch cached_prefix_batch(const AnswerExample& example, std::int64_t prefix_tokens) {
  Batch batch;
  Segment& segment = append_segment(batch, example.ids, 0, prefix_tokens);
  segment.cached = 0;
  segment.append_to_cache = true;
  segment.logit_rows = 1;  // the last layer's output is not read, but must not be empty
  return batch;
}

Batch behind_prefix_batch(const std::vector<const AnswerExample*>& examples,
                          std::int64_t prefix_tokens) {
  Batch batch;
  for (const AnswerExample* example : examples) {
    Segment& segment = append_answer(batch, *example, prefix_tokens);
    if (prefix_tokens > 0) segment.cached = 0;
  }
  return batch;
}

std::int64_t shared_prefix_tokens(const std::vector<AnswerExample>& examples) {
  CommonPrefix prefix;
  for (const AnswerExample& example : examples) {
    prefix.add(example.ids, size_of(example.ids) - example.answer_tokens - 1);
  }
  return prefix.tokens;
}

std::int64_t shared_prefix_tokens(const std::vector<RankedExample>& examples) {
  CommonPrefix prefix;
  for (const RankedExample& example : examples) {
    prefix.add(example.trunk, size_of(example.trunk) - 1);
  }
  return prefix.tokens;
}

RankingBatch ranking_batch(const std::vector<const RankedExample*>& examples,
                           std::int64_t end_of_sequence, std::int64_t prefix_tokens) {
  RankingBatch result;
  if (prefix_tokens > 0) {
    append_segment(result.batch, examples.front()->trunk, 0, prefix_tokens);
  }
  for (const RankedExample* example : examples) {
    append_ranked(result, *example, prefix_tokens, end_of_sequence);
  }
  return result;
}

std::int64_t ranking_tokens(const RankedExample& example) {
  std::int64_t tokens = size_of(example.trunk) + 1;
  for (const RankedExample::Label& label : example.labels) tokens += size_of(label.ids) - 1;
  return tokens;
}

}  // namespace taskneuron

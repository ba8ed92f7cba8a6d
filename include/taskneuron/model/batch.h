#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace taskneuron {

// One run of tokens in a packed batch: rows [begin, end). A token sees, in this order, the tokens
// of the cached sequence, of the prefix segment, and the earlier ones of its own segment. Branches
// split a segment into a trunk [0, branches[0]) and continuations of it that do not see each other
// (the labels of a prompt).
struct Segment {
  std::int64_t begin = 0;
  std::int64_t end = 0;
  std::int64_t logit_rows = 0;         // how many rows at the end need logits
  int example = 0;                     // whose relevance the rows count towards
  int prefix = -1;                     // segment whose tokens come before, or -1
  int cached = -1;                     // sequence of the key-value cache that comes before, or -1
  bool append_to_cache = false;        // whether the rows join that cached sequence
  std::vector<std::int64_t> branches;  // first row of each branch, relative to begin, ascending

  std::int64_t tokens() const { return end - begin; }
};

// A probability to read: log p(token | what row sees), counted towards `sequence` with `weight`.
struct Target {
  std::int64_t row = 0;
  std::int64_t token = 0;
  std::int64_t sequence = 0;
  double weight = 1;
};

// Sequences packed without padding. Rows of a segment that are given logits must be its last ones,
// and every target's row must be among them.
struct Batch {
  std::vector<std::int64_t> ids;        // [T]
  std::vector<std::int64_t> positions;  // [T], from 0 at the start of the text
  std::vector<Segment> segments;        // in row order, covering all rows
  std::vector<Target> targets;
  std::int64_t examples = 0;
  std::int64_t sequences = 0;

  std::int64_t tokens() const { return static_cast<std::int64_t>(ids.size()); }
};

// Consecutive rows that belong to one example.
struct RowSpan {
  std::int64_t begin = 0;
  std::int64_t end = 0;
  int example = 0;
};

}  // namespace taskneuron

#pragma once

#include <vector>

#include "model/fused_attention.h"
#include "model/kernels/table.h"

namespace taskneuron {

// One call of fused_attention, as both directions need it. Borrows config.
struct AttentionCall {
  const ModelConfig* config = nullptr;
  QkvLayout views;
  BatchPlanPtr plan = {};
  std::int64_t layer = 0;
  bool logit_rows_only = false;
  bool rotates = false;
  std::vector<at::Tensor> projections = {};
  // By segment; undefined where there are none.
  std::vector<at::Tensor> cached_keys = {}, cached_values = {};

  std::size_t segments() const { return plan->segments.size(); }
  const Segment& segment(std::size_t s) const { return plan->batch->segments[s]; }
  QueryRows rows(std::size_t s) const {
    return query_rows(segment(s), plan->segments[s], logit_rows_only);
  }
  // Whether queries, keys and values are one matrix.
  bool fused() const { return views.fused(); }
  const Rotation& angles() const { return plan->rotation(layer); }
  std::int64_t query_count() const;
  // Row of the segment's first query in the matrix of queries.
  std::int64_t query_row(std::size_t s) const;
  std::int64_t most_keys() const;  // that a segment sees
  std::int64_t longest() const;    // segment, in tokens
  // Whether segments see keys of other segments, so that gradients of keys meet.
  bool segments_meet() const;
};

// The angles of the call's rows from `row` on; none where it does not rotate.
template <typename T>
kernels::Rotation<T> rotation_of(const AttentionCall& call, std::int64_t row);

// One segment of a call in the loops' terms; without output, scratch space and key head.
template <typename T>
struct SegmentArguments {
  std::vector<kernels::KeyRun<T>> runs;
  kernels::Attention<T> attention;  // borrows runs

  SegmentArguments(const AttentionCall& call, std::size_t s);
};

}  // namespace taskneuron

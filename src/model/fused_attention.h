#pragma once

#include "model/attention.h"

namespace taskneuron {

// packed_attention on the CPU's loops. rotated: the projections are three, rotated already.
at::Tensor fused_attention(const AttentionInput& input, const BatchPlanPtr& plan, bool rotated);

// Query rows of one segment: where they stand among all query rows and within the segment.
struct QueryRows {
  std::int64_t begin = 0;
  std::int64_t count = 0;
  std::int64_t first_in_segment = 0;
};
QueryRows query_rows(const Segment& segment, const SegmentPlan& plan, bool logit_rows_only);

}  // namespace taskneuron

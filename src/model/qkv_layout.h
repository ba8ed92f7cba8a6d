#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "taskneuron/checkpoint/model_config.h"

namespace taskneuron {

// Where the heads of queries, of keys or of values stand, in groups of `group`: output i of head h
// is output offset + (h / group)·group_stride + (h mod group)·head + i of the projection, whose
// rows are `row` numbers long.
struct HeadView {
  std::size_t projection = 0;  // of those that QkvLayout speaks of
  std::int64_t heads = 0;
  std::int64_t width = 0;  // of a head
  std::int64_t offset = 0;
  std::int64_t row = 0;
  std::int64_t head = 0;
  std::int64_t group = heads;  // by default all heads are one group
  std::int64_t group_stride = 0;

  // Which outputs of the projection these are, head by head.
  std::vector<std::int64_t> outputs() const;
  // View [rows, heads, width] of the projection [rows, row] among `projections`.
  at::Tensor of(const std::vector<at::Tensor>& projections) const;
};

// The only place that knows which outputs of a model's query, key and value matrices are what:
// those of one fused projection, or of three.
struct QkvLayout {
  explicit QkvLayout(const ModelConfig& config);
  // The same heads in three projections.
  static QkvLayout separate(const ModelConfig& config);

  bool fused() const { return values.projection == 0; }

  HeadView queries;
  HeadView keys;
  HeadView values;

 private:
  QkvLayout(const ModelConfig& config, QkvOrder order);
};

}  // namespace taskneuron

#include "model/qkv_layout.h"

#include "base/torch_compat.h"

namespace taskneuron {

std::vector<std::int64_t> HeadView::outputs() const {
  std::vector<std::int64_t> result;
  for (std::int64_t h = 0; h < heads; ++h) {
    const std::int64_t first = offset + h / group * group_stride + h % group * head;
    for (std::int64_t i = 0; i < width; ++i) result.push_back(first + i);
  }
  return result;
}

at::Tensor HeadView::of(const std::vector<at::Tensor>& projections) const {
  if (group < heads) {
    return projections[projection]
        .view({-1, heads / group, group_stride})
        .narrow(2, offset, group * head)
        .reshape({-1, heads, head})
        .narrow(2, 0, width);
  }
  // Whole strides of a head first, then what of each stride is this head.
  const std::int64_t inside = offset % head;
  return projections[projection]
      .narrow(1, offset - inside, heads * head)
      .view({-1, heads, head})
      .narrow(2, inside, width);
}

QkvLayout::QkvLayout(const ModelConfig& config) : QkvLayout(config, config.qkv) {}

QkvLayout QkvLayout::separate(const ModelConfig& config) {
  return QkvLayout(config, QkvOrder::kSeparate);
}

QkvLayout::QkvLayout(const ModelConfig& config, QkvOrder order) {
  const std::int64_t heads = config.heads, kv_heads = config.kv_heads, width = config.head_dim;
  const std::int64_t total = (heads + 2 * kv_heads) * width;
  switch (order) {
    case QkvOrder::kSeparate:
      queries = {0, heads, width, 0, heads * width, width};
      keys = {1, kv_heads, width, 0, kv_heads * width, width};
      values = {2, kv_heads, width, 0, kv_heads * width, width};
      return;
    case QkvOrder::kStacked:
      queries = {0, heads, width, 0, total, width};
      keys = {0, kv_heads, width, heads * width, total, width};
      values = {0, kv_heads, width, (heads + kv_heads) * width, total, width};
      return;
    case QkvOrder::kInterleaved:
      queries = {0, heads, width, 0, total, 3 * width};
      keys = {0, kv_heads, width, width, total, 3 * width};
      values = {0, kv_heads, width, 2 * width, total, 3 * width};
      return;
    case QkvOrder::kGrouped: {
      const std::int64_t group = heads / kv_heads, stride = (group + 2) * width;
      queries = {0, heads, width, 0, total, width, group, stride};
      keys = {0, kv_heads, width, group * width, total, stride};
      values = {0, kv_heads, width, (group + 1) * width, total, stride};
      return;
    }
  }
}

}  // namespace taskneuron

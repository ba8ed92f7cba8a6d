#include "model/qkv_layout.h"

#include <numeric>

#include "support/support.h"

namespace taskneuron {
namespace {

ModelConfig config_of(QkvOrder order, std::int64_t kv_heads) {
  ModelConfig config;
  config.heads = 4;
  config.kv_heads = kv_heads;
  config.head_dim = 3;
  config.qkv = order;
  return config;
}

// Every output of the stored matrices belongs to one head, in the order that the name says.
TEST(QkvLayout, StackedIsQueriesThenKeysThenValues) {
  const QkvLayout layout(config_of(QkvOrder::kStacked, 2));
  EXPECT_TRUE(layout.fused());
  std::vector<std::int64_t> all;
  for (const HeadView* view : {&layout.queries, &layout.keys, &layout.values}) {
    EXPECT_EQ(view->row, 24);
    const std::vector<std::int64_t> outputs = view->outputs();
    all.insert(all.end(), outputs.begin(), outputs.end());
  }
  std::vector<std::int64_t> expected(24);
  std::iota(expected.begin(), expected.end(), 0);
  EXPECT_EQ(all, expected);
}

TEST(QkvLayout, InterleavedIsHeadByHead) {
  const QkvLayout layout(config_of(QkvOrder::kInterleaved, 4));
  EXPECT_EQ(layout.queries.outputs(),
            (std::vector<std::int64_t>{0, 1, 2, 9, 10, 11, 18, 19, 20, 27, 28, 29}));
  EXPECT_EQ(layout.keys.outputs(),
            (std::vector<std::int64_t>{3, 4, 5, 12, 13, 14, 21, 22, 23, 30, 31, 32}));
  EXPECT_EQ(layout.values.outputs(),
            (std::vector<std::int64_t>{6, 7, 8, 15, 16, 17, 24, 25, 26, 33, 34, 35}));
}

TEST(QkvLayout, GroupedIsKeyHeadByKeyHeadWithItsQueries) {
  const QkvLayout layout(config_of(QkvOrder::kGrouped, 2));
  EXPECT_EQ(layout.queries.outputs(),
            (std::vector<std::int64_t>{0, 1, 2, 3, 4, 5, 12, 13, 14, 15, 16, 17}));
  EXPECT_EQ(layout.keys.outputs(), (std::vector<std::int64_t>{6, 7, 8, 18, 19, 20}));
  EXPECT_EQ(layout.values.outputs(), (std::vector<std::int64_t>{9, 10, 11, 21, 22, 23}));
}

TEST(QkvLayout, HeadsAreTheOutputsThatItNames) {
  for (const QkvOrder order :
       {QkvOrder::kSeparate, QkvOrder::kStacked, QkvOrder::kInterleaved, QkvOrder::kGrouped}) {
    const ModelConfig config = config_of(order, order == QkvOrder::kInterleaved ? 4 : 2);
    const QkvLayout layout(config);
    EXPECT_EQ(layout.fused(), order != QkvOrder::kSeparate);
    std::vector<at::Tensor> projections;
    for (const HeadView* view : {&layout.queries, &layout.keys, &layout.values}) {
      if (projections.size() == view->projection) projections.push_back(at::randn({5, view->row}));
    }
    for (const HeadView* view : {&layout.queries, &layout.keys, &layout.values}) {
      const at::Tensor heads = view->of(projections);
      EXPECT_EQ(heads.sizes(), (std::vector<std::int64_t>{5, view->heads, 3}));
      const at::Tensor outputs = at::tensor(view->outputs(), at::kLong);
      EXPECT_TRUE(
          at::equal(heads.flatten(1), projections[view->projection].index_select(1, outputs)));
    }
  }
}

}  // namespace
}  // namespace taskneuron

#include "taskneuron/continual/combination.h"

#include <gtest/gtest.h>

#include "base/torch_compat.h"
#include "taskneuron/base/error.h"

namespace taskneuron {
namespace {

constexpr const char* kTensor = "model.layers.0.mlp.up_proj.weight";

Checkpoint base() { return Checkpoint(std::string(TASKNEURON_FIXTURES) + "/hf_parity/llama"); }

// A stage that puts `value` into rows of a tensor.
StageChange stage(const Checkpoint& before, std::vector<std::int64_t> units, double value) {
  const at::Tensor index = at::tensor(units, at::kLong);
  const at::Tensor rows = before.tensor(kTensor).index_select(0, index).to(at::kFloat);
  Delta delta;
  delta.tensors[kTensor] = {kTensor, 0, index, at::full_like(rows, value)};
  return change_of(before, delta);
}

TEST(Combination, AddsWeightedChangesToTheBase) {
  const Checkpoint checkpoint = base();
  const StageChange first = stage(checkpoint, {0, 2}, 1);
  const Checkpoint middle =
      checkpoint.with_replaced(combined(checkpoint, {first}, {1}, Combine::kDelta));
  const StageChange second = stage(middle, {2, 3}, 2);
  const at::Tensor start = checkpoint.tensor(kTensor).to(at::kFloat);
  const at::Tensor found =
      combined(checkpoint, {first, second}, {0.25, 0.5}, Combine::kDelta).at(kTensor);
  EXPECT_TRUE(at::allclose(found[0], start[0] + 0.25 * (1 - start[0])));
  EXPECT_TRUE(at::equal(found[1], start[1]));
  EXPECT_TRUE(at::allclose(found[2], start[2] + 0.25 * (1 - start[2]) + at::full({}, 0.5)));
  EXPECT_TRUE(at::allclose(found[3], start[3] + 0.5 * (2 - start[3])));
  // All of every change: the last stage's model.
  const at::Tensor all = combined(checkpoint, {first, second}, {1, 1}, Combine::kDelta).at(kTensor);
  EXPECT_TRUE(at::allclose(all[2], at::full_like(all[2], 2)));
}

TEST(Combination, LiterallyReplacesUnitsByWeightedOnes) {
  const Checkpoint checkpoint = base();
  const StageChange first = stage(checkpoint, {0, 2}, 1), second = stage(checkpoint, {2, 3}, 2);
  const at::Tensor found =
      combined(checkpoint, {first, second}, {0.25, 0.5}, Combine::kLiteral).at(kTensor);
  EXPECT_TRUE(at::allclose(found[0], at::full_like(found[0], 0.25)));  // it shrinks
  EXPECT_TRUE(at::equal(found[1], checkpoint.tensor(kTensor).to(at::kFloat)[1]));
  EXPECT_TRUE(at::allclose(found[2], at::full_like(found[2], 0.25 * 1 + 0.5 * 2)));
  EXPECT_THROW(parse_combine("sum"), UsageError);
}

}  // namespace
}  // namespace taskneuron

#include "taskneuron/neuron/unit_ablation.h"

#include <algorithm>

#include "base/check.h"
#include "base/torch_compat.h"
#include "taskneuron/base/error.h"
#include "taskneuron/model/hook_chain.h"

namespace taskneuron {

namespace {

class UnitOffHook : public NeuronHook {
 public:
  void turn_off(const SiteUnit& unit, std::int64_t width) {
    at_ = unit;
    factors_ = at::ones({width});
    factors_[unit.unit] = 0;
  }
  at::Tensor scale(Site site, std::int64_t layer) const override {
    return site == at_.site && layer == at_.layer ? factors_ : at::Tensor();
  }

 private:
  SiteUnit at_;
  at::Tensor factors_;
};

// A batch on its way through the model, from any layer on.
struct Passage {
  const Decoder& decoder;
  const Batch& batch;
  BatchPlanPtr plan;
  NeuronHook& hook;

  at::Tensor layer(std::int64_t l, const at::Tensor& x) const {
    return decoder.layer(l, x, plan, hook);
  }
  // The layers from l on, and every target's nll.
  at::Tensor nll_from(std::int64_t l, at::Tensor x) const {
    for (; l < decoder.config().layers; ++l) x = layer(l, x);
    return decoder.target_nll(decoder.finish(x), batch);
  }
};

// Rows of each example in what a layer returns, in the order of positions: all of them, or of the
// last layer those that need logits.
std::vector<std::vector<std::int64_t>> example_rows(const Batch& batch, std::int64_t rows) {
  const bool all = rows == batch.tokens();
  std::vector<std::vector<std::int64_t>> result;
  std::int64_t next = 0;
  for (const Segment& segment : batch.segments) {
    TN_CHECK_LT(segment.prefix, 0);
    std::vector<std::int64_t>& of_example = result.emplace_back();
    const std::int64_t count = all ? segment.tokens() : segment.logit_rows;
    for (std::int64_t i = 0; i < count; ++i) of_example.push_back(next++);
  }
  TN_CHECK_EQ(next, rows);
  return result;
}

// Σ over positions of |example loss with row `off` in place of row `on` there − intact|, float64
// [examples]. on, off: what layer l returns with a unit as it is, and off everywhere. The FFN works
// row by row, so a row of `off` is what that row is with the unit off there alone. Examples do not
// see each other, so one pass takes a position of each.
at::Tensor position_changes(const Passage& passage, std::int64_t l, const at::Tensor& on,
                            const at::Tensor& off, const at::Tensor& intact) {
  const auto rows = example_rows(passage.batch, on.size(0));
  std::size_t longest = 0;
  for (const auto& of_example : rows) longest = std::max(longest, of_example.size());
  at::Tensor sum = at::zeros_like(intact);
  for (std::size_t position = 0; position < longest; ++position) {
    std::vector<std::int64_t> changed;
    for (const auto& of_example : rows) {
      if (position < of_example.size()) changed.push_back(of_example[position]);
    }
    const at::Tensor index = at::tensor(changed, at::kLong).to(on.device());
    const at::Tensor x = on.index_copy(0, index, off.index_select(0, index));
    sum += (example_losses(passage.batch, passage.nll_from(l + 1, x)) - intact).abs();
  }
  return sum;
}

}  // namespace

at::Tensor example_losses(const Batch& batch, const at::Tensor& nll) {
  at::Tensor losses = at::zeros({batch.examples}, at::kDouble);
  const at::Tensor values = nll.to(at::kDouble).cpu().contiguous();
  auto* loss = losses.data_ptr<double>();
  for (std::size_t i = 0; i < batch.targets.size(); ++i) {
    const Target& target = batch.targets[i];
    loss[target.sequence] += target.weight * values.data_ptr<double>()[i];
  }
  return losses;
}

LossChanges unit_loss_changes(const Decoder& decoder, const Batch& batch,
                              const std::vector<SiteUnit>& units, const UnitOffOptions& options) {
  const at::NoGradGuard no_gradients;
  NeuronHook none;
  UnitOffHook off;
  NeuronHook& under = options.under != nullptr ? *options.under : none;
  HookChain with_off({&under, &off});
  const Passage passage{decoder, batch, decoder.plan(batch), under};
  at::Tensor below = decoder.embed(*passage.plan);  // what layer `reached` is given
  std::int64_t reached = 0;
  at::Tensor intact_layer;  // what it returns, once that is needed
  LossChanges result;
  result.nll = passage.nll_from(0, below);
  const at::Tensor intact = example_losses(batch, result.nll);
  result.change = at::empty({batch.examples, static_cast<std::int64_t>(units.size())}, at::kDouble);
  const bool by_position = options.off_at == OffAt::kEachPositionToo;
  if (by_position) result.position_changes = at::empty_like(result.change);
  for (std::size_t i = 0; i < units.size(); ++i) {
    const SiteUnit& unit = units[i];
    const auto column = static_cast<std::int64_t>(i);
    TN_CHECK_GE(unit.layer, reached);
    for (; reached < unit.layer; ++reached) {
      below = passage.layer(reached, below);
      intact_layer = at::Tensor();
    }
    off.turn_off(unit, site_shape(decoder.config(), unit.site).width);
    const at::Tensor x = decoder.layer(unit.layer, below, passage.plan, with_off);
    const at::Tensor nll = passage.nll_from(unit.layer + 1, x);
    result.change.select(1, column).copy_(example_losses(batch, nll) - intact);
    if (by_position) {
      if (!intact_layer.defined()) intact_layer = passage.layer(unit.layer, below);
      result.position_changes.select(1, column).copy_(
          position_changes(passage, unit.layer, intact_layer, x, intact));
    }
    options.after_unit();
  }
  return result;
}

}  // namespace taskneuron

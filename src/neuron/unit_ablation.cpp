#include "taskneuron/neuron/unit_ablation.h"

#include "base/torch_compat.h"
#include "taskneuron/base/error.h"

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

// Runs the layers from l on and returns every target's nll.
at::Tensor nll_from(const Decoder& decoder, const Batch& batch, const BatchPlanPtr& plan,
                    std::int64_t l, at::Tensor x, NeuronHook& hook) {
  for (; l < decoder.config().layers; ++l) x = decoder.layer(l, x, plan, hook);
  return decoder.target_nll(decoder.finish(x), batch);
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
                              const std::vector<SiteUnit>& units,
                              const std::function<void()>& after_unit) {
  const at::NoGradGuard no_gradients;
  NeuronHook none;
  UnitOffHook off;
  const BatchPlanPtr plan = decoder.plan(batch);
  at::Tensor below = decoder.embed(*plan);  // what layer `reached` is given
  std::int64_t reached = 0;
  LossChanges result;
  result.nll = nll_from(decoder, batch, plan, 0, below, none);
  const at::Tensor intact = example_losses(batch, result.nll);
  result.change = at::empty({batch.examples, static_cast<std::int64_t>(units.size())}, at::kDouble);
  for (std::size_t i = 0; i < units.size(); ++i) {
    const SiteUnit& unit = units[i];
    TN_CHECK(unit.layer >= reached);
    for (; reached < unit.layer; ++reached) below = decoder.layer(reached, below, plan, none);
    off.turn_off(unit, site_shape(decoder.config(), unit.site).width);
    const at::Tensor nll = nll_from(decoder, batch, plan, unit.layer, below, off);
    result.change.select(1, static_cast<std::int64_t>(i))
        .copy_(example_losses(batch, nll) - intact);
    after_unit();
  }
  return result;
}

}  // namespace taskneuron

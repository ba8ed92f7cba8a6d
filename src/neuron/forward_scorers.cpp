// Scorers that need forward passes alone: activation, frequency, ablation.
#include "base/torch_compat.h"
#include "neuron/scorer_support.h"

namespace taskneuron {

namespace {

class ObserveHook : public NeuronHook {
 public:
  explicit ObserveHook(ScoreRun& run) : run_(run), frequency_(run.options.method == "frequency") {}
  bool wants_observe(Site site, std::int64_t) const override {
    return run_.options.sites.count(site) != 0;
  }
  void observe(const SiteView& view) override {
    run_.relevance.add(view.site, view.layer,
                       frequency_ ? view.activation_input.gt(0) : view.activation.abs(),
                       *view.spans);
  }
  bool wants_all_rows() const override { return true; }

 private:
  ScoreRun& run_;
  bool frequency_;
};

class UnitOffHook : public NeuronHook {
 public:
  UnitOffHook(Site site, std::int64_t layer, std::int64_t width)
      : site_(site), layer_(layer), factors_(at::ones({width})) {}
  void turn_off(std::int64_t unit) {
    factors_.fill_(1);
    factors_[unit] = 0;
  }
  at::Tensor scale(Site site, std::int64_t layer) const override {
    return site == site_ && layer == layer_ ? factors_ : at::Tensor();
  }

 private:
  Site site_;
  std::int64_t layer_;
  at::Tensor factors_;
};

// Mean answer loss of each example, float64 [examples].
at::Tensor example_losses(const ScoreBatch& batch, const at::Tensor& nll) {
  at::Tensor losses = at::zeros({batch.batch->examples}, at::kDouble);
  const at::Tensor values = nll.to(at::kDouble).cpu();
  for (std::size_t i = 0; i < batch.batch->targets.size(); ++i) {
    const Target& target = batch.batch->targets[i];
    losses[target.sequence] += target.weight * values[static_cast<std::int64_t>(i)].item<double>();
  }
  return losses;
}

// Runs the layers from l on and returns every target's nll.
at::Tensor nll_from(const ScoreRun& run, const ScoreBatch& batch, const BatchPlanPtr& plan,
                    std::int64_t l, at::Tensor x, NeuronHook& hook) {
  for (; l < run.decoder.config().layers; ++l) x = run.decoder.layer(l, x, plan, hook);
  return run.decoder.target_nll(run.decoder.finish(x), *batch.batch);
}

}  // namespace

void add_observed(ScoreRun& run) {
  const at::NoGradGuard no_gradients;
  for_each_batch(run, [&](const ScoreBatch& batch) {
    ObserveHook hook(run);
    const at::Tensor features = run.decoder.features(*batch.batch, hook, batch.cache);
    require_finite(run, batch, run.decoder.target_nll(features, *batch.batch));
    run.positions += batch.batch->tokens();
    run.progress(
        static_cast<double>(batch.members.size()) / static_cast<double>(run.examples.size()),
        batch.batch->tokens());
  });
}

void add_ablation(ScoreRun& run) {
  const at::NoGradGuard no_gradients;
  double units = 0;
  for (const Site site : run.options.sites) {
    units += static_cast<double>(site_shape(run.decoder.config(), site).units());
  }
  for_each_batch(run, [&](const ScoreBatch& batch) {
    NeuronHook none;
    const BatchPlanPtr plan = run.decoder.plan(*batch.batch);
    at::Tensor below = run.decoder.embed(*plan);
    const at::Tensor nll = nll_from(run, batch, plan, 0, below, none);
    require_finite(run, batch, nll);
    const at::Tensor intact = example_losses(batch, nll);
    const double share = static_cast<double>(batch.members.size()) /
                         static_cast<double>(run.examples.size()) / units;
    for (std::int64_t l = 0; l < run.decoder.config().layers; ++l) {
      for (const Site site : run.options.sites) {
        const std::int64_t width = site_shape(run.decoder.config(), site).width;
        UnitOffHook hook(site, l, width);
        at::Tensor change = at::empty({batch.batch->examples, width}, at::kDouble);
        for (std::int64_t unit = 0; unit < width; ++unit) {
          hook.turn_off(unit);
          change.select(1, unit).copy_(
              example_losses(batch, nll_from(run, batch, plan, l, below, hook)) - intact);
          run.progress(share, batch.batch->tokens());
        }
        for (std::int64_t e = 0; e < batch.batch->examples; ++e) {
          run.relevance.add_example(site, l, change[e]);
        }
      }
      if (l + 1 < run.decoder.config().layers) below = run.decoder.layer(l, below, plan, none);
    }
  });
}

}  // namespace taskneuron

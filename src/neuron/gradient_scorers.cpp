// Scorers that need a backward pass: taylor, gradient, integrated gradients.
#include "base/torch_compat.h"
#include "neuron/scorer_support.h"
#include "taskneuron/base/error.h"
#include "taskneuron/model/recompute.h"

namespace taskneuron {

namespace {

double share_of(const ScoreRun& run, const ScoreBatch& batch) {
  return static_cast<double>(batch.members.size()) / static_cast<double>(run.examples.size());
}

class TaylorHook : public NeuronHook {
 public:
  TaylorHook(const ScoreOptions& options, Relevance& relevance)
      : options_(options), relevance_(relevance), gradient_only_(options.method == "gradient") {}
  bool wants_tap(Site site, std::int64_t) const override { return options_.sites.count(site) != 0; }
  bool wants_sums(Site, std::int64_t) const override { return !gradient_only_; }
  void tap(const SiteView& view) override {
    const UnitBlock units{view.site, view.layer, view.first_unit};
    if (view.product_sums.defined()) {
      return relevance_.add_sums(units, view.product_sums, view.magnitude_sums, *view.spans);
    }
    relevance_.add_products(units, view.gradient, gradient_only_ ? at::Tensor() : view.activation,
                            *view.spans);
  }

 private:
  const ScoreOptions& options_;
  Relevance& relevance_;
  bool gradient_only_;
};

// Scales one layer's site and keeps ω · ∂loss/∂ω row by row over the steps.
class PathHook : public NeuronHook {
 public:
  PathHook(Site site, std::int64_t layer, at::Tensor ones)
      : site_(site), layer_(layer), ones_(std::move(ones)) {}
  void set_step(double alpha, double weight) {
    alpha_ = alpha;
    weight_ = weight;
  }
  at::Tensor scale(Site site, std::int64_t layer) const override {
    return site == site_ && layer == layer_ ? ones_ * alpha_ : at::Tensor();
  }
  bool wants_tap(Site site, std::int64_t layer) const override {
    return site == site_ && layer == layer_;
  }
  void tap(const SiteView& view) override {
    // What is shown is α·ω; the path's integrand is the gradient there times the whole ω.
    const at::Tensor term = view.gradient.to(at::kFloat) * view.activation * (weight_ / alpha_);
    // A layer's router reads what comes before its units: every step takes the same experts.
    Block& block = blocks_[view.first_unit];
    block.sum = block.sum.defined() ? block.sum + term : term;
    block.spans = *view.spans;
  }
  void add_to(Relevance& relevance) const {
    for (const auto& [first, block] : blocks_) {
      relevance.add({site_, layer_, first}, block.sum, block.spans);
    }
  }

 private:
  Site site_;
  std::int64_t layer_;
  at::Tensor ones_;
  double alpha_ = 1;
  double weight_ = 1;
  struct Block {
    at::Tensor sum;
    std::vector<RowSpan> spans;
  };
  std::map<std::int64_t, Block> blocks_;  // by their first unit: one, or one of each expert
};

}  // namespace

void add_taylor(ScoreRun& run) {
  for_each_batch(run, [&](ScoreBatch& batch) {
    TaylorHook taylor(run.options, *batch.relevance);
    HookChain hook = run.hooks({&taylor});
    if (run.options.recompute) {
      recomputed_backward(run.decoder, *batch.batch, hook, batch.cache,
                          [&](const at::Tensor& nll) { record_losses(run, batch, nll); });
      run.report(share_of(run, batch), batch.batch->tokens());
      return;
    }
    at::Tensor nll;
    const at::Tensor features = run.decoder.features(*batch.batch, hook, batch.cache);
    const at::Tensor loss = run.decoder.target_loss(features, *batch.batch, &nll);
    record_losses(run, batch, nll);
    loss.backward();
    run.report(share_of(run, batch), batch.batch->tokens());
  });
}

void add_integrated_gradients(ScoreRun& run) {
  const std::int64_t layers = run.decoder.config().layers;
  const int steps = run.options.integration_steps;
  const double passes =
      static_cast<double>(layers) * steps * static_cast<double>(run.options.sites.size());
  for_each_batch(run, [&](ScoreBatch& batch) {
    HookChain under = run.hooks();
    const BatchPlanPtr plan = run.decoder.plan(*batch.batch);
    at::Tensor below;  // hidden states under the layer in question
    {
      const at::NoGradGuard no_gradients;
      below = run.decoder.embed(*plan);
    }
    for (std::int64_t l = 0; l < layers; ++l) {
      for (const Site site : run.options.sites) {
        const SiteShape shape = site_shape(run.decoder.config(), site);
        PathHook path(site, l, at::ones({shape.width}));
        HookChain hook = run.hooks({&path});
        for (int k = 0; k < steps; ++k) {
          path.set_step((k + 0.5) / steps, 1.0 / steps);  // midpoint rule
          at::Tensor x = below;
          for (std::int64_t m = l; m < layers; ++m) x = run.decoder.layer(m, x, plan, hook);
          at::Tensor nll;
          const at::Tensor loss =
              run.decoder.target_loss(run.decoder.finish(x), *batch.batch, &nll);
          require_finite(run, batch, nll);
          loss.backward();
          run.report(share_of(run, batch) / passes, batch.batch->tokens());
        }
        path.add_to(*batch.relevance);
      }
      const at::NoGradGuard no_gradients;
      below = run.decoder.layer(l, below, plan, under);
    }
    const at::NoGradGuard no_gradients;
    record_losses(run, batch, run.decoder.target_nll(run.decoder.finish(below), *batch.batch));
  });
}

}  // namespace taskneuron

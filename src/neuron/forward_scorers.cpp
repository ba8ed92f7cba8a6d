// Scorers that need forward passes alone: activation, frequency, ablation.
#include "base/torch_compat.h"
#include "neuron/scorer_support.h"
#include "taskneuron/neuron/unit_ablation.h"

namespace taskneuron {

namespace {

class ObserveHook : public NeuronHook {
 public:
  ObserveHook(const ScoreOptions& options, Relevance& relevance)
      : options_(options), relevance_(relevance), frequency_(options.method == "frequency") {}
  bool wants_observe(Site site, std::int64_t) const override {
    return options_.sites.count(site) != 0;
  }
  void observe(const SiteView& view) override {
    relevance_.add({view.site, view.layer, view.first_unit},
                   frequency_ ? view.activation_input.gt(0) : view.activation.abs(), *view.spans);
  }
  bool wants_all_rows() const override { return true; }

 private:
  const ScoreOptions& options_;
  Relevance& relevance_;
  bool frequency_;
};

}  // namespace

void add_observed(ScoreRun& run) {
  const at::NoGradGuard no_gradients;
  for_each_batch(run, [&](ScoreBatch& batch) {
    ObserveHook observe(run.options, *batch.relevance);
    HookChain hook = run.hooks({&observe});
    const at::Tensor features = run.decoder.features(*batch.batch, hook, batch.cache);
    record_losses(run, batch, run.decoder.target_nll(features, *batch.batch));
    batch.positions += batch.batch->tokens();
    run.report(static_cast<double>(batch.members.size()) / static_cast<double>(run.examples.size()),
               batch.batch->tokens());
  });
}

void add_ablation(ScoreRun& run) {
  std::vector<SiteUnit> units;
  for (std::int64_t l = 0; l < run.decoder.config().layers; ++l) {
    for (const Site site : run.options.sites) {
      const std::int64_t width = site_shape(run.decoder.config(), site).width;
      for (std::int64_t unit = 0; unit < width; ++unit) units.push_back({site, l, unit});
    }
  }
  for_each_batch(run, [&](ScoreBatch& batch) {
    const double share = static_cast<double>(batch.members.size()) /
                         static_cast<double>(run.examples.size()) /
                         static_cast<double>(units.size());
    UnitOffOptions off;
    off.under = run.options.under;
    off.after_unit = [&] { run.report(share, batch.batch->tokens()); };
    const LossChanges changes = unit_loss_changes(run.decoder, *batch.batch, units, off);
    record_losses(run, batch, changes.nll);
    for (std::int64_t first = 0; first < changes.change.size(1);) {
      const SiteUnit& unit = units[static_cast<std::size_t>(first)];
      const std::int64_t width = site_shape(run.decoder.config(), unit.site).width;
      for (std::int64_t e = 0; e < batch.batch->examples; ++e) {
        batch.relevance->add_example({unit.site, unit.layer},
                                     changes.change[e].narrow(0, first, width));
      }
      first += width;
    }
  });
}

}  // namespace taskneuron

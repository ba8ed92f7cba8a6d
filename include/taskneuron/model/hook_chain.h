#pragma once

#include <vector>

#include "taskneuron/model/neuron_hook.h"

namespace taskneuron {

// Several hooks as one, in their order: each changes what those before it made of ω. Where hook i
// scales by s_i and adds o_i, ω becomes
//   (… (ω s_1 + o_1) s_2 + o_2 …) s_n + o_n = ω Π s_i + Σ_i o_i Π_{j>i} s_j
// Two scales of one unit multiply, whichever comes first; a scale also acts on what the hooks
// before it added, and not on what those after it add. Off, then mean: the mean; mean, then off:
// off.
//
// Every hook that wants a tap or an observation is shown the same ω, that of the whole chain (the
// tap of `act`: without offsets, so that what takes the place of ω has no relevance); rows where
// only some of them take sums. Everything else is asked of the hooks one by one.
class HookChain : public NeuronHook {
 public:
  // The hooks must outlive the chain, and so the backward pass.
  explicit HookChain(std::vector<NeuronHook*> hooks);

  at::Tensor scale(Site site, std::int64_t layer) const override;
  bool wants_offset(Site site, std::int64_t layer) const override;
  at::Tensor offset(Site site, std::int64_t layer, const RowTokens& rows) const override;
  bool wants_tap(Site site, std::int64_t layer) const override;
  bool wants_sums(Site site, std::int64_t layer) const override;
  void tap(const SiteView& view) override;
  bool wants_observe(Site site, std::int64_t layer) const override;
  void observe(const SiteView& view) override;
  bool wants_all_rows() const override;

 private:
  std::vector<NeuronHook*> hooks_;
};

}  // namespace taskneuron

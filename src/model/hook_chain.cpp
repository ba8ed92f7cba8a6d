#include "taskneuron/model/hook_chain.h"

#include <algorithm>

#include "base/torch_compat.h"
#include "taskneuron/base/error.h"

namespace taskneuron {

HookChain::HookChain(std::vector<NeuronHook*> hooks) : hooks_(std::move(hooks)) {
  for (const NeuronHook* hook : hooks_) TN_CHECK(hook != nullptr);
}

at::Tensor HookChain::scale(Site site, std::int64_t layer) const {
  at::Tensor product;
  for (const NeuronHook* hook : hooks_) {
    const at::Tensor own = hook->scale(site, layer);
    if (!own.defined()) continue;
    product = product.defined() ? product * own.to(product.device()) : own;
  }
  return product;
}

bool HookChain::wants_offset(Site site, std::int64_t layer) const {
  return std::any_of(hooks_.begin(), hooks_.end(),
                     [&](const NeuronHook* hook) { return hook->wants_offset(site, layer); });
}

at::Tensor HookChain::offset(Site site, std::int64_t layer, const RowTokens& rows) const {
  at::Tensor sum;  // of what the hooks so far add
  for (const NeuronHook* hook : hooks_) {
    const at::Tensor factor = sum.defined() ? hook->scale(site, layer) : at::Tensor();
    if (factor.defined()) sum = sum * factor.to(sum.device());
    if (!hook->wants_offset(site, layer)) continue;
    const at::Tensor own = hook->offset(site, layer, rows);
    if (!own.defined()) continue;
    sum = sum.defined() ? sum + own.to(sum.device()) : own;
  }
  return sum;
}

bool HookChain::wants_tap(Site site, std::int64_t layer) const {
  return std::any_of(hooks_.begin(), hooks_.end(),
                     [&](const NeuronHook* hook) { return hook->wants_tap(site, layer); });
}

bool HookChain::wants_sums(Site site, std::int64_t layer) const {
  return std::all_of(hooks_.begin(), hooks_.end(), [&](const NeuronHook* hook) {
    return !hook->wants_tap(site, layer) || hook->wants_sums(site, layer);
  });
}

void HookChain::tap(const SiteView& view) {
  for (NeuronHook* hook : hooks_) {
    if (hook->wants_tap(view.site, view.layer)) hook->tap(view);
  }
}

bool HookChain::wants_observe(Site site, std::int64_t layer) const {
  return std::any_of(hooks_.begin(), hooks_.end(),
                     [&](const NeuronHook* hook) { return hook->wants_observe(site, layer); });
}

void HookChain::observe(const SiteView& view) {
  for (NeuronHook* hook : hooks_) {
    if (hook->wants_observe(view.site, view.layer)) hook->observe(view);
  }
}

bool HookChain::wants_all_rows() const {
  return std::any_of(hooks_.begin(), hooks_.end(),
                     [](const NeuronHook* hook) { return hook->wants_all_rows(); });
}

}  // namespace taskneuron

#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "taskneuron/model/batch.h"
#include "taskneuron/model/site.h"

namespace taskneuron {

// What a hook is shown. Rows are those of the layer that ran; in the last layer only those that
// need logits, unless the hook wants all rows. A mixture of experts shows act, up and gate expert
// by expert, in their order: of one that no row goes to nothing.
struct SiteView {
  Site site = Site::kAct;
  std::int64_t layer = 0;
  at::Tensor activation;        // ω [rows, width], after the hook's own scale
  at::Tensor gradient;          // dloss/dω [rows, width]; undefined in observe()
  at::Tensor activation_input;  // f's input [rows, width]; for `out`, ω itself; observe()
  const std::vector<RowSpan>* spans = nullptr;  // rows by example
  std::int64_t first_unit = 0;                  // of the layer's units: what column 0 is
  at::Tensor rows;  // int64, ascending: which of the layer's rows these are; undefined: all
  // tap() where the hook wants sums alone, in place of activation and gradient: sums over the rows
  // of each span of ω · gradient and of its magnitude, float32 [spans, width], in row order.
  at::Tensor product_sums;
  at::Tensor magnitude_sums;
};

// The texts that rows stand in.
struct RowTokens {
  at::Tensor ids;        // int64 [rows], on the CPU
  at::Tensor positions;  // int64 [rows], from 0 at the start of the text
};

// The place where everything specific to neurons meets the model; several of them: HookChain. A
// hook must outlive the backward pass of the forward passes that it took part in. What is shown
// things (tap, observe) serves one thread; scale() and the questions may come from several at a
// time.
class NeuronHook {
 public:
  virtual ~NeuronHook() = default;

  // Factors [width], of all units of the layer, in float32 that multiply ω in the forward pass;
  // undefined leaves ω alone.
  virtual at::Tensor scale(Site, std::int64_t /*layer*/) const { return {}; }
  // Whether offset() is wanted for ω of this site and layer, and what it then adds to ω after its
  // scale: [width], or [rows, width] with a row for each of those given; undefined adds nothing.
  // The tap of `act` is shown ω without it, the other sites' with it.
  virtual bool wants_offset(Site, std::int64_t /*layer*/) const { return false; }
  virtual at::Tensor offset(Site, std::int64_t /*layer*/, const RowTokens&) const { return {}; }
  // Whether tap() is wanted for ω of this site and layer in the backward pass.
  virtual bool wants_tap(Site, std::int64_t /*layer*/) const { return false; }
  // Whether sums by span will do for that tap: the loops form them on the way, for `act`; other
  // sites and devices show rows all the same.
  virtual bool wants_sums(Site, std::int64_t /*layer*/) const { return false; }
  virtual void tap(const SiteView&) {}
  // Whether observe() is wanted in the forward pass.
  virtual bool wants_observe(Site, std::int64_t /*layer*/) const { return false; }
  virtual void observe(const SiteView&) {}
  // Whether the last layer must run at every row and not only where logits are needed.
  virtual bool wants_all_rows() const { return false; }
};

}  // namespace taskneuron

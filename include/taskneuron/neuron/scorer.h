#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "taskneuron/data/batch_memory.h"
#include "taskneuron/data/batching.h"
#include "taskneuron/data/examples.h"
#include "taskneuron/model/decoder.h"
#include "taskneuron/neuron/scores.h"

namespace taskneuron {

enum class Positions {
  kAll,  // every token of the example
  kOwn,  // only those after the prefix that all examples share, which then runs once
};

struct ScoreOptions {
  std::string method = "taylor";
  std::set<Site> sites = {Site::kAct};
  // Which aggregate the file's relevance holds; only `dataset` lets the shared prefix run once for
  // all examples of a batch, and then no other sums are formed.
  Aggregate aggregate = Aggregate::kExample;
  Positions positions = Positions::kAll;
  BatchLimits limits;
  bool recompute = false;      // taylor and gradient: less memory, half as much work again
  int integration_steps = 16;  // integrated-gradients
  std::uint64_t seed = 0;      // random
  // Whose scales and offsets the scored model runs under (detection under ablation); null: as it
  // is. Batches ask it side by side.
  NeuronHook* under = nullptr;
};

// Called after each step with its share of the whole (0..1 in sum) and the tokens that it ran, one
// call at a time, on any thread. May throw to end the work (base/interruption.h, "Cancelling").
using ScoreProgress = std::function<void(double share, std::int64_t tokens)>;

// Scores every unit of the wanted sites on these examples (method, "Relevance"):
//   taylor                |Σ_t ∂loss/∂ω · ω|, the paper's
//   gradient              Σ_t |∂loss/∂ω|                           (aggregate token)
//   activation            mean |ω| over positions                  (aggregate token)
//   frequency             share of positions with f's input > 0    (aggregate token)
//   integrated-gradients  ω times the mean gradient on the way from ω = 0, layer by layer
//   ablation              loss with ω = 0 minus loss, one forward pass per unit
//   random                uniform numbers from the seed
// Fills everything of the result but info's model, task, split and template. Throws Error for an
// unknown method, for a loss that is not finite (naming the first non-finite tensor of
// `checkpoint`, else the example), and UsageError for an aggregate that the method does not form.
Scores score_units(const Checkpoint& checkpoint, const Decoder& decoder,
                   const std::vector<AnswerExample>& examples, const ScoreOptions& options,
                   const ScoreProgress& progress);

// What score_units will put through the model, for fit_batches().
BatchDemand score_demand(const std::vector<AnswerExample>& examples, const ScoreOptions& options);

std::vector<std::string> score_methods();
// The aggregate that a method's relevance is by default.
Aggregate default_aggregate(const std::string& method);

}  // namespace taskneuron

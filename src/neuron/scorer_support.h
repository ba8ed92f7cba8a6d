#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "base/world.h"
#include "taskneuron/model/hook_chain.h"
#include "taskneuron/neuron/relevance.h"
#include "taskneuron/neuron/scorer.h"

namespace taskneuron {

// What every scorer works with. add_* functions fill `relevance`, `tokens` and `positions`.
struct ScoreRun {
  const Checkpoint& checkpoint;
  const Decoder& decoder;
  const std::vector<AnswerExample>& examples;
  const ScoreOptions& options;
  const ScoreProgress& progress;
  Relevance relevance;
  std::int64_t tokens = 0;          // run forward, as prompts and answers count once
  std::vector<double> losses = {};  // of the examples, in order; empty: the method forms none
  std::int64_t positions = 0;       // observed rows, for methods that divide by them
  std::mutex reporting = {};

  // What a pass runs under: the hook that the run is scored under, then the method's own.
  HookChain hooks(std::vector<NeuronHook*> own = {}) const {
    if (options.under != nullptr) own.insert(own.begin(), options.under);
    return HookChain(std::move(own));
  }
  // Tells `progress`; batches may call it side by side.
  void report(double share, std::int64_t ran_tokens) {
    const std::lock_guard<std::mutex> lock(reporting);
    // Other ranks are as far as this one.
    progress(share * static_cast<double>(world().size()), ran_tokens * world().size());
  }
  void add_ranks();
};

// One forward pass's worth of examples and what it adds to the run.
struct ScoreBatch {
  std::vector<std::int64_t> members;  // numbers of examples
  std::unique_ptr<Batch> batch;
  KeyValueCache* cache = nullptr;
  std::optional<Relevance> relevance;
  std::int64_t positions = 0;
};

// Cuts the run into batches (with the prefix shared where options allow) and calls step for each,
// several side by side where the limits have workers. What steps leave in their batches is added to
// the run in the order of the batches.
void for_each_batch(ScoreRun& run, const std::function<void(ScoreBatch&)>& step);

// Whether the shared prefix is run apart from the examples.
bool shares_prefix(const ScoreOptions& options);

// Keeps the examples' losses with nothing changed. Throws Error unless every nll is finite.
void record_losses(ScoreRun& run, const ScoreBatch& batch, const at::Tensor& nll);
void require_finite(const ScoreRun& run, const ScoreBatch& batch, const at::Tensor& nll);

void add_taylor(ScoreRun& run);    // also gradient
void add_observed(ScoreRun& run);  // activation, frequency
void add_integrated_gradients(ScoreRun& run);
void add_ablation(ScoreRun& run);

}  // namespace taskneuron

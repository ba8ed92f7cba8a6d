#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "taskneuron/data/examples.h"
#include "taskneuron/neuron/scorer.h"
#include "taskneuron/neuron/selection.h"
#include "taskneuron/neuron/unit_ablation.h"

namespace taskneuron {

// Whether relevance can be trusted (method, "Fidelity audit" and "Stability"): does it say what a
// unit is worth, and would other examples have chosen the same units?

struct FidelityOptions {
  ScoreOptions scoring;  // method taylor, every position
  double percent = 10;   // of the set whose stability is asked for
  Scope scope = Scope::kGlobal;
  std::int64_t units = 200;    // audited against the true loss change
  std::int64_t examples = 64;  // of the audit; the stability uses all
  std::int64_t shards = 20;    // points of the curve
  std::int64_t orders = 10;    // random orders of the shards that the curve is the mean of
  double stable = 0.95;        // Jaccard from which on a set counts as stable
  std::uint64_t seed = 0;
};

struct UnitAudit {
  SiteUnit unit;
  double relevance = 0;  // R by the aggregate asked for
  // The same aggregate of the true loss changes. For `token` that is Σ over positions of the size
  // of the change when the unit is off at one position alone.
  double change = 0;
  double predicted = 0;      // signed: −mean s_e, what removing the unit adds to the loss
  double signed_change = 0;  // mean true change
};

// A set switched off as a whole, beside the sum of its units' predictions.
struct SetAudit {
  double percent = 0;
  std::int64_t units = 0;
  double predicted = 0;
  double change = 0;
};

struct LossAudit {
  std::int64_t examples = 0;
  double loss = 0;                                 // mean example loss, nothing off
  std::vector<UnitAudit> units;                    // by layer
  double pearson = 0, spearman = 0;                // relevance and change
  double signed_pearson = 0, signed_spearman = 0;  // predicted and signed_change
  // Of the sample's most relevant tenth, the share that is in the tenth of the largest changes.
  double top_agreement = 0;
  std::vector<SetAudit> sets;
};

// Units drawn evenly from tenths of the ranking, so that the sample is not all noise around zero.
// In order of layers.
std::vector<SiteUnit> stratified_sample(const Ranking& ranking, std::int64_t count,
                                        std::uint64_t seed);

// progress: share of the audit, tokens; as ScoreProgress says.
LossAudit audit_loss(const Checkpoint& checkpoint, const Decoder& decoder,
                     const std::vector<AnswerExample>& examples, const FidelityOptions& options,
                     const ScoreProgress& progress);

// Jaccard of top sets at one number of examples, mean over random orders of the shards.
struct StabilityPoint {
  std::int64_t examples = 0;
  double with_all = 0;             // with the set of all examples
  std::optional<double> disjoint;  // with the set of as many other examples, where there are
};

// Two disjoint quarters of the examples, of which there are two pairs: the only sizes at which the
// spread between sets of examples can be seen.
struct QuarterStability {
  std::int64_t examples = 0;  // in a quarter
  double jaccard = 0;         // mean over pairs and orders
  double deviation = 0;       // standard deviation between pairs that share no example
};

struct Stability {
  std::int64_t examples = 0;
  // Two disjoint halves, mean over orders: of their top sets, and of their relevance.
  double half_jaccard = 0;
  double half_spearman = 0;
  std::optional<QuarterStability> quarters;  // where there are four shards
  double chance_jaccard = 0;                 // of sets of these sizes per layer
  std::vector<StabilityPoint> curve;
  // The smallest number of examples from which on with_all stays at `stable` or above; none where
  // that is so only in the second half, in which most examples are the same.
  std::optional<std::int64_t> stable_from;
};

// From scores of disjoint parts of the examples (shards), at least two. after_order is called after
// each order of the shards, and may throw to end the work.
Stability stability_of(
    const std::vector<Scores>& shards, const FidelityOptions& options,
    const std::function<void()>& after_order = [] {});

Stability audit_stability(const Checkpoint& checkpoint, const Decoder& decoder,
                          const std::vector<AnswerExample>& examples,
                          const FidelityOptions& options, const ScoreProgress& progress);

}  // namespace taskneuron

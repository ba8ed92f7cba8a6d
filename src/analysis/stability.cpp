#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <utility>

#include "analysis/fidelity_parts.h"
#include "base/check.h"
#include "taskneuron/base/error.h"
#include "taskneuron/base/statistics.h"
#include "taskneuron/neuron/comparison.h"

namespace taskneuron {

SiteRelevance fidelity_relevance(const Scores& scores, const FidelityOptions& options) {
  return site_relevance(scores, {options.scoring.sites.begin(), options.scoring.sites.end()},
                        options.scoring.aggregate);
}

std::vector<std::size_t> shuffled(std::size_t count, Random& random) {
  std::vector<std::size_t> order(count);
  std::iota(order.begin(), order.end(), std::size_t{0});
  random.shuffle(order);
  return order;
}

std::vector<AnswerExample> chosen(const std::vector<AnswerExample>& examples,
                                  std::vector<std::size_t>::const_iterator begin,
                                  std::vector<std::size_t>::const_iterator end) {
  std::vector<AnswerExample> result;
  for (auto number = begin; number != end; ++number) result.push_back(examples[*number]);
  return result;
}

namespace {

// Scores of disjoint parts of the examples, in random order.
std::vector<Scores> score_shards(const Checkpoint& checkpoint, const Decoder& decoder,
                                 const std::vector<AnswerExample>& examples,
                                 const FidelityOptions& options, const ScoreProgress& progress) {
  Random random(options.seed, "shards");
  const std::vector<std::size_t> order = shuffled(examples.size(), random);
  const auto total = static_cast<std::int64_t>(examples.size());
  const std::int64_t count = std::min(options.shards, total);
  std::vector<Scores> shards;
  for (std::int64_t i = 0; i < count; ++i) {
    const std::vector<AnswerExample> part = chosen(examples, order.begin() + total * i / count,
                                                   order.begin() + total * (i + 1) / count);
    const double share = static_cast<double>(part.size()) / static_cast<double>(total);
    shards.push_back(
        score_units(checkpoint, decoder, part, options.scoring,
                    [&](double done, std::int64_t tokens) { progress(done * share, tokens); }));
  }
  return shards;
}

Scores sum_of(const std::vector<Scores>& shards, std::vector<std::size_t>::const_iterator begin,
              std::vector<std::size_t>::const_iterator end) {
  Scores sum = shards[*begin];
  for (auto shard = begin + 1; shard != end; ++shard) sum.merge(shards[*shard], "shard");
  return sum;
}

NeuronSet top_set(const Scores& scores, const FidelityOptions& options) {
  return select_top(fidelity_relevance(scores, options), options.percent, options.scope);
}

void grow(std::optional<Scores>& sum, const Scores& shard) {
  if (sum) {
    sum->merge(shard, "shard");
  } else {
    sum = shard;
  }
}

// What one order of the shards adds to the curve.
class StabilityRound {
 public:
  StabilityRound(const std::vector<Scores>& shards, const std::vector<std::size_t>& order,
                 const FidelityOptions& options)
      : shards_(shards), order_(order), options_(options) {}

  void add_to(std::vector<StabilityPoint>& curve, const NeuronSet& all) {
    const std::size_t count = order_.size();
    const auto orders = static_cast<double>(options_.orders);
    std::optional<Scores> front, back;  // sums of the first and of the last shards so far
    for (std::size_t i = 0; i < count; ++i) {
      grow(front, shards_[order_[i]]);
      StabilityPoint& point = curve[i];
      const NeuronSet set = top_set(*front, options_);
      point.examples += front->examples;
      point.with_all += compare_sets(set, all, Chance::kLeaveOut).jaccard / orders;
      if (2 * (i + 1) > count) continue;
      grow(back, shards_[order_[count - 1 - i]]);
      const NeuronSet other = top_set(*back, options_);
      half_jaccard = compare_sets(set, other, Chance::kLeaveOut).jaccard;
      point.disjoint = point.disjoint.value_or(0) + half_jaccard / orders;
      if (i + 1 != count / 2) continue;
      half_spearman = compare_relevance(fidelity_relevance(*front, options_),
                                        fidelity_relevance(*back, options_))
                          .spearman;
      halves = {set, other};
    }
  }

  // Of the first half of the shards and the second; after add_to.
  double half_jaccard = 0;
  double half_spearman = 0;
  std::pair<NeuronSet, NeuronSet> halves;

  // Jaccard of two quarters, and of the other two. REQUIRES four shards.
  std::pair<double, double> quarters() const {
    const auto quarter = static_cast<std::ptrdiff_t>(order_.size() / 4);
    std::vector<NeuronSet> sets;
    for (auto begin = order_.begin(); sets.size() < 4; begin += quarter) {
      sets.push_back(top_set(sum_of(shards_, begin, begin + quarter), options_));
    }
    return {compare_sets(sets[0], sets[1], Chance::kLeaveOut).jaccard,
            compare_sets(sets[2], sets[3], Chance::kLeaveOut).jaccard};
  }

 private:
  const std::vector<Scores>& shards_;
  const std::vector<std::size_t>& order_;
  const FidelityOptions& options_;
};

// The two Jaccard indices of one order share no example, so half the square of their difference is
// an unbiased estimate of the variance between sets of examples, and so is its mean over orders;
// the spread of one index over orders of the same examples is not.
QuarterStability quarters_of(const std::vector<std::pair<double, double>>& pairs,
                             const std::vector<Scores>& shards) {
  QuarterStability quarters;
  const auto count = static_cast<double>(pairs.size());
  double variance = 0;
  for (const auto& [one, other] : pairs) {
    quarters.jaccard += (one + other) / 2 / count;
    variance += (one - other) * (one - other) / 2 / count;
  }
  quarters.deviation = std::sqrt(variance);
  std::int64_t examples = 0;
  for (const Scores& shard : shards) examples += shard.examples;
  const auto per_quarter = static_cast<double>(shards.size() / 4);
  quarters.examples = std::llround(static_cast<double>(examples) * per_quarter /
                                   static_cast<double>(shards.size()));
  return quarters;
}

void suggest_stop(Stability& stability, double stable) {
  std::optional<std::int64_t> from;
  for (auto point = stability.curve.rbegin(); point != stability.curve.rend(); ++point) {
    if (point->with_all < stable) break;
    from = point->examples;
  }
  if (from && 2 * *from <= stability.examples) stability.stable_from = from;
}

}  // namespace

Stability stability_of(const std::vector<Scores>& shards, const FidelityOptions& options,
                       const std::function<void()>& after_order) {
  const std::size_t count = shards.size();
  TN_CHECK_GE(count, 2);
  Stability stability;
  for (const Scores& shard : shards) stability.examples += shard.examples;
  stability.curve.resize(count);
  Random random(options.seed, "orders of shards");
  std::vector<std::size_t> identity(count);
  std::iota(identity.begin(), identity.end(), std::size_t{0});
  const NeuronSet all = top_set(sum_of(shards, identity.begin(), identity.end()), options);
  std::vector<double> jaccards, spearmans;
  std::vector<std::pair<double, double>> quarters;
  for (std::int64_t i = 0; i < options.orders; ++i) {
    const std::vector<std::size_t> order = shuffled(count, random);
    StabilityRound round(shards, order, options);
    round.add_to(stability.curve, all);
    // What chance gives hangs on sizes, which hardly differ between orders.
    if (i == 0) {
      stability.chance_jaccard =
          compare_sets(round.halves.first, round.halves.second).expected_jaccard;
    }
    jaccards.push_back(round.half_jaccard);
    spearmans.push_back(round.half_spearman);
    if (count >= 4) quarters.push_back(round.quarters());
    after_order();
  }
  // Shards differ by an example at most, and so do their sums over the orders.
  for (StabilityPoint& point : stability.curve) {
    point.examples =
        std::llround(static_cast<double>(point.examples) / static_cast<double>(options.orders));
  }
  stability.half_jaccard = mean(jaccards);
  stability.half_spearman = mean(spearmans);
  if (!quarters.empty()) stability.quarters = quarters_of(quarters, shards);
  suggest_stop(stability, options.stable);
  return stability;
}

Stability audit_stability(const Checkpoint& checkpoint, const Decoder& decoder,
                          const std::vector<AnswerExample>& examples,
                          const FidelityOptions& options, const ScoreProgress& progress) {
  if (examples.size() < 2) throw Error("stability needs at least two examples");
  return stability_of(score_shards(checkpoint, decoder, examples, options, progress), options,
                      [&] { progress(0, 0); });
}

}  // namespace taskneuron

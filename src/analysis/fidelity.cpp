#include "taskneuron/analysis/fidelity.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/torch_compat.h"
#include "taskneuron/base/error.h"
#include "taskneuron/base/random.h"
#include "taskneuron/base/statistics.h"
#include "taskneuron/data/batching.h"
#include "taskneuron/neuron/comparison.h"

namespace taskneuron {

namespace {

constexpr std::int64_t kStrata = 10;
constexpr double kAuditedSets[] = {0.1, 0.3, 1, 3, 10, 30};

std::vector<Site> sites_of(const FidelityOptions& options) {
  return {options.scoring.sites.begin(), options.scoring.sites.end()};
}

SiteRelevance relevance_of(const Scores& scores, const FidelityOptions& options) {
  return site_relevance(scores, sites_of(options), options.scoring.aggregate);
}

// Random numbers of 0..count-1 in random order.
std::vector<std::size_t> shuffled(std::size_t count, Random& random) {
  std::vector<std::size_t> order(count);
  std::iota(order.begin(), order.end(), std::size_t{0});
  for (std::size_t i = count; i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
  return order;
}

std::vector<AnswerExample> chosen(const std::vector<AnswerExample>& examples,
                                  std::vector<std::size_t>::const_iterator begin,
                                  std::vector<std::size_t>::const_iterator end) {
  std::vector<AnswerExample> result;
  for (auto number = begin; number != end; ++number) result.push_back(examples[*number]);
  return result;
}

Batch batch_of(const std::vector<AnswerExample>& examples,
               const std::vector<std::int64_t>& members) {
  std::vector<const AnswerExample*> pointers;
  for (const std::int64_t e : members) pointers.push_back(&examples[static_cast<std::size_t>(e)]);
  return answer_batch(pointers);
}

std::vector<std::int64_t> lengths_of(const std::vector<AnswerExample>& examples) {
  std::vector<std::int64_t> lengths;
  for (const AnswerExample& example : examples) {
    lengths.push_back(static_cast<std::int64_t>(example.ids.size()));
  }
  return lengths;
}

double at_unit(const at::Tensor& values, const SiteUnit& unit) {
  return values[unit.layer][unit.unit].item<double>();
}

// Of the values' largest tenths, the share that both have.
double top_tenth_agreement(const std::vector<double>& a, const std::vector<double>& b) {
  const std::size_t count = std::max<std::size_t>(1, a.size() / 10);
  const auto largest = [&](const std::vector<double>& values) {
    std::vector<std::size_t> order(values.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t x, std::size_t y) { return values[x] > values[y]; });
    order.resize(count);
    std::sort(order.begin(), order.end());
    return order;
  };
  const auto first = largest(a), second = largest(b);
  std::vector<std::size_t> both;
  std::set_intersection(first.begin(), first.end(), second.begin(), second.end(),
                        std::back_inserter(both));
  return static_cast<double>(both.size()) / static_cast<double>(count);
}

// What the set's units predict together: −Σ mean s_e.
double predicted_change(const Scores& scores, const NeuronSet& set) {
  double sum = 0;
  for (const auto& [site, units] : set.sites) {
    const at::Tensor& signed_sum = scores.sites.at(site).signed_sum;
    for (std::size_t l = 0; l < units.units.size(); ++l) {
      if (units.units[l].empty()) continue;
      const at::Tensor index = at::tensor(units.units[l], at::kLong);
      sum += signed_sum[static_cast<std::int64_t>(l)].index_select(0, index).sum().item<double>();
    }
  }
  return -sum / static_cast<double>(scores.denominator);
}

void add_correlations(LossAudit& audit) {
  std::vector<double> relevance, change, predicted, signed_change;
  for (const UnitAudit& unit : audit.units) {
    relevance.push_back(unit.relevance);
    change.push_back(unit.change);
    predicted.push_back(unit.predicted);
    signed_change.push_back(unit.signed_change);
  }
  audit.pearson = pearson(relevance, change);
  audit.spearman = spearman(relevance, change);
  audit.signed_pearson = pearson(predicted, signed_change);
  audit.signed_spearman = spearman(predicted, signed_change);
  audit.top_agreement = top_tenth_agreement(relevance, change);
}

}  // namespace

std::vector<SiteUnit> stratified_sample(const SiteRelevance& relevance, std::int64_t count,
                                        std::uint64_t seed) {
  struct Ranked {
    double relevance;
    SiteUnit unit;
  };
  std::vector<Ranked> ranked;
  for (const auto& [site, values] : relevance) {
    const at::Tensor table = values.to(at::kDouble).contiguous();
    const double* value = table.data_ptr<double>();
    for (std::int64_t l = 0; l < table.size(0); ++l) {
      for (std::int64_t unit = 0; unit < table.size(1); ++unit) {
        ranked.push_back({*value++, {site, l, unit}});
      }
    }
  }
  std::stable_sort(ranked.begin(), ranked.end(),
                   [](const Ranked& a, const Ranked& b) { return a.relevance > b.relevance; });
  const auto total = static_cast<std::int64_t>(ranked.size());
  count = std::min(count, total);
  Random random(seed, "stratified sample");
  std::vector<SiteUnit> sample;
  for (std::int64_t stratum = 0; stratum < kStrata; ++stratum) {
    const std::int64_t begin = total * stratum / kStrata, end = total * (stratum + 1) / kStrata;
    const std::int64_t wanted = count * (stratum + 1) / kStrata - count * stratum / kStrata;
    for (const std::int64_t i : random.sample(end - begin, std::min(wanted, end - begin))) {
      sample.push_back(ranked[static_cast<std::size_t>(begin + i)].unit);
    }
  }
  std::stable_sort(sample.begin(), sample.end(),
                   [](const SiteUnit& a, const SiteUnit& b) { return a.layer < b.layer; });
  return sample;
}

LossAudit audit_loss(const Checkpoint& checkpoint, const Decoder& decoder,
                     const std::vector<AnswerExample>& all, const FidelityOptions& options,
                     const ScoreProgress& progress) {
  Random random(options.seed, "audited examples");
  const std::vector<std::size_t> order = shuffled(all.size(), random);
  const auto count = std::min(order.size(), static_cast<std::size_t>(options.examples));
  const auto taken = static_cast<std::ptrdiff_t>(count);
  const std::vector<AnswerExample> examples = chosen(all, order.begin(), order.begin() + taken);

  const Scores scores =
      score_units(checkpoint, decoder, examples, options.scoring, [](double, std::int64_t) {});
  const SiteRelevance relevance = relevance_of(scores, options);
  const std::vector<SiteUnit> units = stratified_sample(relevance, options.units, options.seed);

  LossAudit audit;
  audit.examples = static_cast<std::int64_t>(count);
  const auto n = static_cast<double>(count);
  at::Tensor signed_sum = at::zeros({static_cast<std::int64_t>(units.size())}, at::kDouble);
  at::Tensor abs_sum = at::zeros_like(signed_sum);
  for (const double percent : kAuditedSets) {
    const NeuronSet set = select_top(relevance, percent, options.scope);
    audit.sets.push_back({percent, set.size(), predicted_change(scores, set), 0});
  }
  const auto steps = static_cast<double>(units.size() + audit.sets.size());
  for (const auto& members : group_by_length(lengths_of(examples), options.scoring.limits)) {
    const Batch batch = batch_of(examples, members);
    const double share = static_cast<double>(members.size()) / n / steps;
    const LossChanges changes =
        unit_loss_changes(decoder, batch, units, [&] { progress(share, batch.tokens()); });
    const at::Tensor intact = example_losses(batch, changes.nll);
    audit.loss += intact.sum().item<double>() / n;
    signed_sum += changes.change.sum(0);
    abs_sum += changes.change.abs().sum(0);
    const at::NoGradGuard no_gradients;
    for (SetAudit& set : audit.sets) {
      SetHook hook(select_top(relevance, set.percent, options.scope), 0);
      const at::Tensor nll = decoder.target_nll(decoder.features(batch, hook), batch);
      set.change += (example_losses(batch, nll) - intact).sum().item<double>() / n;
      progress(share, batch.tokens());
    }
  }
  const bool absolute = options.scoring.aggregate != Aggregate::kDataset;
  for (std::size_t i = 0; i < units.size(); ++i) {
    const auto column = static_cast<std::int64_t>(i);
    UnitAudit& unit = audit.units.emplace_back();
    unit.unit = units[i];
    unit.relevance = at_unit(relevance.at(units[i].site), units[i]);
    unit.signed_change = signed_sum[column].item<double>() / n;
    unit.change = absolute ? abs_sum[column].item<double>() / n : std::abs(unit.signed_change);
    unit.predicted = -at_unit(scores.sites.at(units[i].site).signed_sum, units[i]) /
                     static_cast<double>(scores.denominator);
  }
  add_correlations(audit);
  return audit;
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
  return select_top(relevance_of(scores, options), options.percent, options.scope);
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

Stability audit_stability(const Checkpoint& checkpoint, const Decoder& decoder,
                          const std::vector<AnswerExample>& examples,
                          const FidelityOptions& options, const ScoreProgress& progress) {
  if (examples.size() < 2) throw Error("stability needs at least two examples");
  const std::vector<Scores> shards = score_shards(checkpoint, decoder, examples, options, progress);
  const std::size_t count = shards.size();
  Stability stability;
  stability.examples = static_cast<std::int64_t>(examples.size());
  stability.curve.resize(count);
  Random random(options.seed, "orders of shards");
  std::vector<std::size_t> identity(count);
  std::iota(identity.begin(), identity.end(), std::size_t{0});
  const NeuronSet all = top_set(sum_of(shards, identity.begin(), identity.end()), options);
  std::vector<double> jaccards, spearmans;
  const auto orders = static_cast<double>(options.orders);
  for (std::int64_t round = 0; round < options.orders; ++round) {
    const std::vector<std::size_t> order = shuffled(count, random);
    std::optional<Scores> front, back;  // sums of the first and of the last shards so far
    for (std::size_t i = 0; i < count; ++i) {
      StabilityPoint& point = stability.curve[i];
      const auto add = [&](std::optional<Scores>& sum, const Scores& shard) {
        if (sum)
          sum->merge(shard, "shard");
        else
          sum = shard;
      };
      add(front, shards[order[i]]);
      const NeuronSet set = top_set(*front, options);
      point.examples += front->examples;
      point.with_all += compare_sets(set, all, Chance::kLeaveOut).jaccard / orders;
      if (2 * (i + 1) > count) continue;
      add(back, shards[order[count - 1 - i]]);
      const bool at_half = i + 1 == count / 2;
      const SetComparison halves =
          compare_sets(set, top_set(*back, options),
                       at_half && round == 0 ? Chance::kExpected : Chance::kLeaveOut);
      point.disjoint = point.disjoint.value_or(0) + halves.jaccard / orders;
      if (!at_half) continue;
      if (round == 0) stability.chance_jaccard = halves.expected_jaccard;
      jaccards.push_back(halves.jaccard);
      spearmans.push_back(compare_relevance(relevance_of(*front, options),
                                            relevance_of(*back, options), options.percent,
                                            options.scope)
                              .spearman);
    }
  }
  // Shards differ by an example at most, and so do their sums over the orders.
  for (StabilityPoint& point : stability.curve) {
    point.examples = std::llround(static_cast<double>(point.examples) / orders);
  }
  stability.half_jaccard = mean(jaccards);
  stability.half_jaccard_deviation = standard_deviation(jaccards);
  stability.half_spearman = mean(spearmans);
  suggest_stop(stability, options.stable);
  return stability;
}

}  // namespace taskneuron

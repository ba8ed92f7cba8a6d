#include "taskneuron/analysis/fidelity.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "analysis/fidelity_parts.h"
#include "base/torch_compat.h"
#include "taskneuron/base/statistics.h"
#include "taskneuron/data/batching.h"

namespace taskneuron {

namespace {

constexpr std::int64_t kStrata = 10;
constexpr double kAuditedSets[] = {0.1, 0.3, 1, 3, 10, 30};

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
  const SiteRelevance relevance = fidelity_relevance(scores, options);
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
  const bool by_position = options.scoring.aggregate == Aggregate::kToken;
  for (const auto& members : group_by_length(lengths_of(examples), options.scoring.limits)) {
    const Batch batch = batch_of(examples, members);
    const double share = static_cast<double>(members.size()) / n / steps;
    UnitOffOptions off;
    if (by_position) off.off_at = OffAt::kEachPositionToo;
    off.after_unit = [&] { progress(share, batch.tokens()); };
    const LossChanges changes = unit_loss_changes(decoder, batch, units, off);
    const at::Tensor intact = example_losses(batch, changes.nll);
    audit.loss += intact.sum().item<double>() / n;
    signed_sum += changes.change.sum(0);
    abs_sum += (by_position ? changes.position_changes : changes.change.abs()).sum(0);
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

}  // namespace taskneuron

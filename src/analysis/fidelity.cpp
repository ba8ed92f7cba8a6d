#include "taskneuron/analysis/fidelity.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "analysis/fidelity_parts.h"
#include "base/torch_compat.h"
#include "base/world.h"
#include "taskneuron/base/statistics.h"
#include "taskneuron/data/batching.h"

namespace taskneuron {

namespace {

constexpr std::int64_t kStrata = 10;
constexpr double kScoringShare = 0.02;  // of the time: three passes among hundreds
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

// Of count things, the numbers of those that this rank does, ascending.
std::vector<std::size_t> own_numbers(std::size_t count) {
  std::vector<std::size_t> numbers(count);
  std::iota(numbers.begin(), numbers.end(), std::size_t{0});
  return world().own_share(std::move(numbers));
}

// Switches the sample's units off one by one, and whole sets, on one batch after the other. Ranks
// take different units and sets of every batch, so that each is found as one process finds it.
class LossAuditor {
 public:
  LossAuditor(const Decoder& decoder, const Scores& scores, const FidelityOptions& options)
      : decoder_(decoder),
        scores_(scores),
        options_(options),
        relevance_(fidelity_relevance(scores, options)),
        examples_(static_cast<double>(scores.examples)) {
    const Ranking ranking(relevance_);
    units_ = stratified_sample(ranking, options.units, options.seed);
    audit_.examples = scores.examples;
    for (const double percent : kAuditedSets) {
      sets_.push_back(ranking.top(percent, options.scope));
      audit_.sets.push_back(
          {percent, sets_.back().size(), predicted_change(scores, sets_.back()), 0});
    }
    for (const std::size_t i : own_numbers(units_.size())) {
      own_units_.push_back(units_[i]);
      own_columns_.push_back(static_cast<std::int64_t>(i));
    }
    own_sets_ = own_numbers(sets_.size());
    signed_sum_ = at::zeros({static_cast<std::int64_t>(units_.size())}, at::kDouble);
    abs_sum_ = at::zeros_like(signed_sum_);
  }

  void add(const Batch& batch, const ScoreProgress& progress) {
    const double share = static_cast<double>(batch.examples) / examples_ / steps();
    const bool by_position = options_.scoring.aggregate == Aggregate::kToken;
    UnitOffOptions off;
    if (by_position) off.off_at = OffAt::kEachPositionToo;
    off.after_unit = [&] { progress(share, batch.tokens()); };
    const LossChanges changes = unit_loss_changes(decoder_, batch, own_units_, off);
    const at::Tensor intact = example_losses(batch, changes.nll);
    audit_.loss += intact.sum().item<double>() / examples_;
    const at::Tensor columns = at::tensor(own_columns_, at::kLong);
    signed_sum_.index_add_(0, columns, changes.change.sum(0));
    abs_sum_.index_add_(0, columns,
                        (by_position ? changes.position_changes : changes.change.abs()).sum(0));
    const at::NoGradGuard no_gradients;
    for (const std::size_t i : own_sets_) {
      SetHook hook(sets_[i], 0);
      const at::Tensor nll = decoder_.target_nll(decoder_.features(batch, hook), batch);
      audit_.sets[i].change +=
          (example_losses(batch, nll) - intact).sum().item<double>() / examples_;
      progress(share, batch.tokens());
    }
  }

  LossAudit take() {
    add_ranks();
    const bool absolute = options_.scoring.aggregate != Aggregate::kDataset;
    for (std::size_t i = 0; i < units_.size(); ++i) {
      const auto column = static_cast<std::int64_t>(i);
      UnitAudit& unit = audit_.units.emplace_back();
      unit.unit = units_[i];
      unit.relevance = at_unit(relevance_.at(units_[i].site), units_[i]);
      unit.signed_change = signed_sum_[column].item<double>() / examples_;
      unit.change =
          absolute ? abs_sum_[column].item<double>() / examples_ : std::abs(unit.signed_change);
      unit.predicted = -at_unit(scores_.sites.at(units_[i].site).signed_sum, units_[i]) /
                       static_cast<double>(scores_.denominator);
    }
    add_correlations(audit_);
    return std::move(audit_);
  }

 private:
  // Forward passes over all examples.
  double steps() const { return static_cast<double>(own_units_.size() + own_sets_.size()); }

  // What each rank found of its units and sets, of all.
  void add_ranks() {
    std::vector<double> changes;
    for (const SetAudit& set : audit_.sets) changes.push_back(set.change);
    world().sum({signed_sum_, abs_sum_});
    world().sum(changes);
    for (std::size_t i = 0; i < changes.size(); ++i) audit_.sets[i].change = changes[i];
  }

  const Decoder& decoder_;
  const Scores& scores_;
  const FidelityOptions& options_;
  SiteRelevance relevance_;
  double examples_;
  std::vector<SiteUnit> units_;
  std::vector<NeuronSet> sets_;
  std::vector<SiteUnit> own_units_;
  std::vector<std::int64_t> own_columns_;  // of own_units_ among units_
  std::vector<std::size_t> own_sets_;
  at::Tensor signed_sum_, abs_sum_;  // float64 [units], over examples
  LossAudit audit_;
};

}  // namespace

std::vector<SiteUnit> stratified_sample(const Ranking& ranking, std::int64_t count,
                                        std::uint64_t seed) {
  const std::int64_t total = ranking.size();
  count = std::min(count, total);
  Random random(seed, "stratified sample");
  std::vector<SiteUnit> sample;
  for (std::int64_t stratum = 0; stratum < kStrata; ++stratum) {
    const std::int64_t begin = total * stratum / kStrata, end = total * (stratum + 1) / kStrata;
    const std::int64_t wanted = count * (stratum + 1) / kStrata - count * stratum / kStrata;
    for (const std::int64_t i : random.sample(end - begin, std::min(wanted, end - begin))) {
      sample.push_back(ranking.units()[static_cast<std::size_t>(begin + i)]);
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

  const Scores scores = score_units(
      checkpoint, decoder, examples, options.scoring,
      [&](double share, std::int64_t tokens) { progress(share * kScoringShare, tokens); });
  const ScoreProgress rest = [&](double share, std::int64_t tokens) {
    progress(share * (1 - kScoringShare), tokens);
  };
  LossAuditor auditor(decoder, scores, options);
  for (const auto& members : group_by_length(lengths_of(examples), options.scoring.limits)) {
    auditor.add(batch_of(examples, members), rest);
  }
  return auditor.take();
}

}  // namespace taskneuron

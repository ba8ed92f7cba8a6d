#include "continual/ncft.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/torch_compat.h"
#include "taskneuron/base/error.h"
#include "taskneuron/continual/claims.h"
#include "taskneuron/continual/unit_projection.h"
#include "taskneuron/neuron/scorer.h"
#include "taskneuron/neuron/selection.h"

namespace taskneuron {

std::vector<const NeuronSet*> past_sets(const StageView& view) {
  std::vector<const NeuronSet*> sets;
  for (const PastStage& past : view.past()) sets.push_back(&past.set.value());
  return sets;
}

Ncft::Ncft(MethodSettings given) : Method(std::move(given)) {
  parse_percents(settings().top);
  parse_scope(settings().scope);
  const std::string& finder = settings().finder;
  std::vector<std::string> known = score_methods();
  known.insert(known.end(), {"change", "fisher"});
  if (std::find(known.begin(), known.end(), finder) == known.end()) {
    throw UsageError("finder", finder, fmt::format("{}", fmt::join(known, ", ")));
  }
}

std::set<Kept> Ncft::keeps() const {
  std::set<Kept> kept;
  if (settings().exclusive < 1) kept.insert(Kept::kSet);
  if (settings().orthogonal) kept.insert(Kept::kChange);
  return kept;
}

// Of earlier tasks the largest relevance of a unit is enough.
std::set<Kept> Ncft::keeps_once() const {
  return settings().soft ? std::set<Kept>{Kept::kRelevance} : std::set<Kept>{};
}

std::map<std::string, std::string> Ncft::identity(std::size_t stage) const {
  const MethodSettings& set = settings();
  std::map<std::string, std::string> identity = {
      {"trains", "units"},
      {"top", fmt::format("{}", fmt::join(set.top, " "))},
      {"scope", set.scope},
      {"finder", set.finder}};
  if (set.finder == "change") identity["probe_steps"] = std::to_string(set.probe_steps);
  if (set.finder == "fisher") identity["fisher_rows"] = std::to_string(set.fisher_rows);
  if (stage == 0) return identity;  // nothing is claimed yet
  if (set.exclusive < 1) identity["exclusive"] = fmt::format("{}", set.exclusive);
  if (set.soft) identity["soft"] = "yes";
  if (set.orthogonal) identity["orthogonal"] = "yes";
  return identity;
}

NeuronSet Ncft::found(StageView& view, const std::string& top) const {
  SiteRelevance relevance = view.relevance(settings());
  if (settings().exclusive < 1 && view.stage() > 0) {
    relevance = with_claims(relevance, past_sets(view), settings().exclusive);
  }
  NeuronSet set = select_top(relevance, parse_percent(top), parse_scope(settings().scope));
  set.from = {{"task", view.tasks()[view.stage()].name},
              {"top", top},
              {"scope", settings().scope},
              {"finder", settings().finder}};
  return set;
}

NeuronSet Ncft::chosen(StageView& view) const {
  const std::vector<std::string>& tops = settings().top;
  if (tops.size() == 1) return found(view, tops.front());
  std::optional<NeuronSet> best;
  double lowest = 0;
  for (const std::string& top : tops) {
    NeuronSet set = found(view, top);
    const double loss = view.validation_loss(set, settings());
    if (best && loss >= lowest) continue;
    lowest = loss;
    best = std::move(set);
  }
  return std::move(*best);
}

StagePlan Ncft::plan(StageView& view) const {
  StagePlan plan;
  plan.set = chosen(view);
  return plan;
}

std::vector<std::unique_ptr<StepTerm>> Ncft::terms(StageView& view,
                                                   const TrainableModel& model) const {
  std::vector<std::unique_ptr<StepTerm>> terms;
  if (!settings().orthogonal || view.stage() == 0) return terms;
  std::vector<UnitValues> directions;
  for (std::size_t k = 0; k < view.stage(); ++k) directions.push_back(view.changes(k, model));
  terms.push_back(std::make_unique<UnitProjection>(std::move(directions)));
  return terms;
}

std::vector<at::Tensor> Ncft::unit_rates(StageView& view, const TrainableModel& model) const {
  if (!settings().soft || view.stage() == 0) return {};
  std::vector<SiteRelevance> earlier;
  for (std::size_t k = 0; k < view.stage(); ++k) earlier.push_back(view.past_relevance(k));
  const SiteRelevance rates = soft_rates(view.relevance(settings()), earlier);
  std::vector<at::Tensor> factors;
  for (std::size_t i = 0; i < model.parameters.size(); ++i) {
    const OwnedParameter& owned = model.owned[i];
    // Units of `act` own everything that one site trains.
    const at::Tensor row = rates.at(Site::kAct)[owned.layer];
    factors.push_back(row.index_select(0, model.parameters[i]->units.cpu() + owned.first_unit()));
  }
  return factors;
}

MethodPtr make_ncft(const MethodSettings& settings) { return std::make_unique<Ncft>(settings); }

}  // namespace taskneuron

#include <functional>

#include "recipe/ablate_parts.h"

namespace taskneuron {

TextEvaluation::TextEvaluation(const AblateOptions& options, const TaskReader& reader)
    : decoder_(reader.session().decoder()),
      text_(reader.read_text(options.text, options.text_tokens)),
      limits_(reader.fit(perplexity_demand(text_)).limits) {}

void TextEvaluation::run(AblateResult& found, const References& references,
                         const KeptEvaluations* kept) const {
  std::int64_t runs = 1;
  for (const Condition& condition : found.conditions) {
    for (const TaskSets& sets : *condition.sets) {
      ++runs;
      for (const auto& kind : sets.random) runs += static_cast<std::int64_t>(kind.second.size());
    }
  }
  Progress bar("perplexity", runs * text_.tokens);
  const auto once = [&](const EvaluatedRow& row, const std::function<Variant()>& make) {
    const std::optional<double> known = kept ? kept->find_perplexity(row) : std::nullopt;
    if (known) {
      bar.skip(text_.tokens);
      return *known;
    }
    const double result = perplexity(make(), bar);
    if (kept) kept->keep_perplexity(row, result);
    return result;
  };
  found.text_tokens = text_.tokens;
  found.text_perplexity = once({}, [&] { return original_variant(decoder_); });
  for (const Condition& condition : found.conditions) {
    std::vector<SideEffect>& effects = found.side_effects.emplace_back();
    const auto off = [&](const NeuronSet& set, const EvaluatedRow& row) {
      return once(row, [&] { return set_variant(decoder_, set, condition.mode, references, ""); });
    };
    for (const TaskSets& sets : *condition.sets) {
      SideEffect& effect = effects.emplace_back();
      effect.task = sets.task;
      effect.own = off(sets.own, {&condition, sets.task, {}, 0});
      for (const auto& [kind, random] : sets.random) {
        std::vector<double>& draws = effect.random[kind];
        for (const NeuronSet& set : random) {
          const auto draw = static_cast<std::int64_t>(draws.size());
          draws.push_back(off(set, {&condition, sets.task, kind, draw}));
        }
      }
    }
  }
}

double TextEvaluation::perplexity(const Variant& variant, Progress& bar) const {
  return evaluate_perplexity(
             *variant.decoder, *variant.hook, text_, limits_,
             [&](std::int64_t, std::int64_t tokens) { bar.advance(tokens, tokens); })
      .perplexity;
}

}  // namespace taskneuron

#include "taskneuron/neuron/scorer.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/torch_compat.h"
#include "base/workers.h"
#include "base/world.h"
#include "neuron/scorer_support.h"
#include "taskneuron/base/compute.h"
#include "taskneuron/base/error.h"
#include "taskneuron/base/random.h"
#include "taskneuron/neuron/unit_ablation.h"

namespace taskneuron {

namespace {

void add_random(ScoreRun& run) {
  for (const Site site : run.options.sites) {
    const SiteShape shape = site_shape(run.decoder.config(), site);
    Random random(run.options.seed, fmt::format("random scores {}", site_name(site)));
    for (std::int64_t l = 0; l < shape.layers; ++l) {
      at::Tensor values = at::empty({shape.width}, at::kFloat);
      for (std::int64_t j = 0; j < shape.width; ++j) {
        values[j] = static_cast<float>(random.uniform());
      }
      run.relevance.add_example({site, l}, values);
      const auto parts = shape.layers * std::ssize(run.options.sites) * world().size();
      run.report(1.0 / static_cast<double>(parts), 0);  // every rank draws all
    }
  }
}

struct Method {
  const char* name;
  void (*add)(ScoreRun&);
  Aggregate aggregate;
  bool every_aggregate;  // whether example and dataset mean something too
};
constexpr Method kMethods[] = {
    {"taylor", add_taylor, Aggregate::kExample, true},
    {"gradient", add_taylor, Aggregate::kToken, false},
    {"activation", add_observed, Aggregate::kToken, false},
    {"frequency", add_observed, Aggregate::kToken, false},
    {"integrated-gradients", add_integrated_gradients, Aggregate::kExample, true},
    {"ablation", add_ablation, Aggregate::kExample, true},
    {"random", add_random, Aggregate::kExample, false},
};

const Method& find_method(const std::string& name) {
  for (const Method& method : kMethods) {
    if (name == method.name) return method;
  }
  throw UsageError("method", name, fmt::format("{}", fmt::join(score_methods(), ", ")));
}

}  // namespace

std::vector<std::string> score_methods() {
  std::vector<std::string> names;
  for (const Method& method : kMethods) names.emplace_back(method.name);
  return names;
}

Aggregate default_aggregate(const std::string& method) { return find_method(method).aggregate; }

bool shares_prefix(const ScoreOptions& options) {
  const bool adds_up = options.method == "taylor" && options.aggregate == Aggregate::kDataset;
  return adds_up || options.positions == Positions::kOwn;
}

void require_finite(const ScoreRun& run, const ScoreBatch& batch, const at::Tensor& nll) {
  const at::Tensor bad = at::isfinite(nll).logical_not().cpu();
  if (!bad.any().item<bool>()) return;
  const std::string tensor = run.checkpoint.first_non_finite();
  if (!tensor.empty()) {
    throw Error(
        fmt::format("{}: tensor '{}' holds values that are not finite; the checkpoint is "
                    "damaged",
                    run.checkpoint.folder().string(), tensor));
  }
  const auto target = at::nonzero(bad)[0].item<std::int64_t>();
  const std::int64_t sequence = batch.batch->targets[static_cast<std::size_t>(target)].sequence;
  throw Error(fmt::format(
      "the loss of example {} is not finite although every weight of {} is; try "
      "`dtype` float32",
      batch.members[static_cast<std::size_t>(sequence)] + 1, run.checkpoint.folder().string()));
}

void record_losses(ScoreRun& run, const ScoreBatch& batch, const at::Tensor& nll) {
  require_finite(run, batch, nll);
  const at::Tensor losses = example_losses(*batch.batch, nll.detach());
  for (std::size_t i = 0; i < batch.members.size(); ++i) {
    run.losses[static_cast<std::size_t>(batch.members[i])] = losses.data_ptr<double>()[i];
  }
}

void for_each_batch(ScoreRun& run, const std::function<void(ScoreBatch&)>& step) {
  const bool shared = shares_prefix(run.options);
  const std::int64_t prefix = shared ? shared_prefix_tokens(run.examples) : 0;
  std::optional<KeyValueCache> cache;
  if (run.options.positions == Positions::kOwn && prefix > 0) {
    const at::NoGradGuard no_gradients;
    HookChain under = run.hooks();
    cache.emplace(1, run.decoder.config().layers);
    const Batch batch = cached_prefix_batch(run.examples.front(), prefix);
    run.decoder.features(batch, under, &*cache);
  }
  std::vector<std::int64_t> lengths;
  for (const AnswerExample& example : run.examples) {
    lengths.push_back(static_cast<std::int64_t>(example.ids.size()) - prefix);
  }
  run.losses.resize(run.examples.size());
  const auto groups = world().own_share(even_groups(lengths, run.options.limits));
  std::vector<ScoreBatch> batches(groups.size());
  const auto work = [&](std::int64_t i) {
    ScoreBatch& batch = batches[static_cast<std::size_t>(i)];
    batch.members = groups[static_cast<std::size_t>(i)];
    std::vector<const AnswerExample*> chosen;
    for (const std::int64_t e : batch.members) {
      chosen.push_back(&run.examples[static_cast<std::size_t>(e)]);
    }
    batch.cache = cache ? &*cache : nullptr;
    batch.batch = std::make_unique<Batch>(cache ? behind_prefix_batch(chosen, prefix)
                                                : shared_prefix_batch(chosen, prefix));
    batch.relevance = run.relevance.empty_copy();
    step(batch);
  };
  const auto finish = [&](std::int64_t i) {
    ScoreBatch batch = std::move(batches[static_cast<std::size_t>(i)]);
    run.relevance.merge(*batch.relevance);
    run.positions += batch.positions;
    for (const std::int64_t e : batch.members) {
      run.tokens += static_cast<std::int64_t>(run.examples[static_cast<std::size_t>(e)].ids.size());
    }
  };
  run_side_by_side(static_cast<std::int64_t>(groups.size()), run.options.limits.workers, work,
                   finish);
  run.add_ranks();
}

// What each rank found of its batches, of all.
void ScoreRun::add_ranks() {
  if (world().alone()) return;
  world().sum(relevance.tensors());
  world().sum(losses);
  world().sum(tokens);
  world().sum(positions);
}

BatchDemand score_demand(const std::vector<AnswerExample>& examples, const ScoreOptions& options) {
  BatchDemand demand;
  demand.shared_tokens = shares_prefix(options) ? shared_prefix_tokens(examples) : 0;
  for (const AnswerExample& example : examples) {
    demand.lengths.push_back(static_cast<std::int64_t>(example.ids.size()) - demand.shared_tokens);
    demand.logit_rows = std::max(demand.logit_rows, example.answer_tokens);
  }
  demand.may_recompute = options.method == "taylor" || options.method == "gradient";
  demand.backward = demand.may_recompute || options.method == "integrated-gradients";
  return demand;
}

Scores score_units(const Checkpoint& checkpoint, const Decoder& decoder,
                   const std::vector<AnswerExample>& examples, const ScoreOptions& options,
                   const ScoreProgress& progress) {
  const Method& method = find_method(options.method);
  if (!method.every_aggregate && options.aggregate != method.aggregate) {
    throw UsageError(fmt::format(
        "`aggregate` {} means nothing for method {}, whose scores are by {}",
        aggregate_name(options.aggregate), options.method, aggregate_name(method.aggregate)));
  }
  if (shares_prefix(options) && options.method != "taylor" && options.method != "gradient") {
    throw UsageError(
        fmt::format("`positions` own works with taylor and gradient, not {}", options.method));
  }
  TN_CHECK(!examples.empty());
  std::map<Site, SiteShape> shapes;
  for (const Site site : options.sites) shapes[site] = site_shape(decoder.config(), site);
  const bool signed_only = options.aggregate == Aggregate::kDataset && shares_prefix(options);
  ScoreRun run{checkpoint, decoder,
               examples,   options,
               progress,   Relevance(shapes, signed_only ? Sums::kSignedOnly : Sums::kAll)};
  method.add(run);

  Scores scores;
  scores.sites = run.relevance.take();
  scores.examples = static_cast<std::int64_t>(examples.size());
  scores.tokens = run.tokens;
  scores.losses = run.losses;
  scores.denominator = options.method == "random" ? 1
                       : run.positions > 0        ? run.positions
                                                  : scores.examples;
  scores.info.method = options.method;
  scores.info.positions = options.positions == Positions::kOwn ? "own" : "all";
  scores.info.aggregate = aggregate_name(options.aggregate);
  scores.info.dtype = dtype_name(decoder.options().dtype);
  scores.info.seed = std::to_string(options.seed);
  return scores;
}

}  // namespace taskneuron

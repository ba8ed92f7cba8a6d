// What a method may ask of a stage that is about to train.
#include "recipe/continual_view.h"

#include <fmt/format.h>

#include "base/elapsed.h"
#include "base/torch_compat.h"
#include "taskneuron/base/error.h"
#include "taskneuron/base/progress.h"
#include "taskneuron/continual/features.h"
#include "taskneuron/continual/fisher.h"
#include "taskneuron/neuron/selection.h"
#include "taskneuron/recipe/detect.h"

namespace taskneuron {

namespace fs = std::filesystem;

namespace {

SiteRelevance relevance_in(const fs::path& folder, const ModelConfig& config) {
  const SiteShape shape = site_shape(config, Site::kAct);
  if (fs::exists(folder / kProbeFile)) {
    const at::Tensor relevance =
        read_tensor(folder / kProbeFile, "relevance.act", at::kDouble, {shape.layers, shape.width});
    if (relevance.lt(0).any().item<bool>()) {
      throw Error(fmt::format("{}: relevance is below 0", (folder / kProbeFile).string()));
    }
    return {{Site::kAct, relevance}};
  }
  const Scores scores = load_scores(folder / kScoresFile);
  if (const SiteShape own = scores.shape(Site::kAct);
      own.layers != shape.layers || own.width != shape.width) {
    throw Error(fmt::format("{}: scores of {} layers of {} units; the model has {} of {}",
                            (folder / kScoresFile).string(), own.layers, own.width, shape.layers,
                            shape.width));
  }
  return site_relevance(scores, {Site::kAct}, parse_aggregate(scores.info.aggregate));
}

// A model of which every unit trains.
TrainableModel all_units(const Session& session) {
  const SiteShape shape = site_shape(session.checkpoint().config(), Site::kAct);
  std::vector<std::int64_t> units(static_cast<std::size_t>(shape.width));
  for (std::size_t i = 0; i < units.size(); ++i) units[i] = static_cast<std::int64_t>(i);
  TrainableOptions options;
  options.units[Site::kAct] = {static_cast<std::size_t>(shape.layers), units};
  return make_trainable(session.checkpoint(), session.decoder(), options);
}

// Σ over what a unit owns, float64 [layers, width]. rows: per parameter, [units, ...].
at::Tensor summed_by_unit(const TrainableModel& model, const std::vector<at::Tensor>& rows,
                          SiteShape shape) {
  at::Tensor sums = at::zeros({shape.layers, shape.width}, at::kDouble);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const at::Tensor flat = rows[i].to(at::kDouble).reshape({rows[i].size(0), -1}).sum(1).cpu();
    const OwnedParameter& owned = model.owned[i];
    sums[owned.layer].narrow(0, owned.first_unit(), flat.size(0)) += flat;
  }
  return sums;
}

}  // namespace

ChainView::ChainView(StreamData& data, const StageChain& chain,
                     const std::vector<StreamTask>& tasks, std::uint64_t seed, fs::path folder)
    : data_(data),
      chain_(chain),
      tasks_(tasks),
      seed_(seed),
      folder_(std::move(folder)),
      past_(chain.past()),
      last_(chain.session_of(chain.start_of(StagePlan{}))) {}

void ChainView::start_from(const std::vector<double>& weights) {
  StagePlan plan;
  plan.start_weights = weights;
  last_ = start(plan);
}

SiteRelevance ChainView::relevance(const MethodSettings& settings) {
  const bool probes = settings.finder == "change" || settings.finder == "fisher";
  if (fs::exists(folder_ / (probes ? kProbeFile : kScoresFile))) {
    return relevance_in(folder_, base().config());
  }
  const auto begun = std::chrono::steady_clock::now();
  if (probes) {
    write_safetensors(folder_ / kProbeFile, {{"relevance.act", probed(settings)}},
                      {{"finder", settings.finder}, {"task", task().name}});
  } else {
    DetectOptions detection;
    detection.data = data_.options().data;
    detection.data.tasks = {task().folder};
    // Never more rows than train.
    const std::int64_t most = data_.options().data.limit, wanted = data_.options().detect_limit;
    detection.data.limit =
        most == 0 || wanted == 0 ? std::max(most, wanted) : std::min(most, wanted);
    detection.method = settings.finder;
    detection.output.out = (folder_ / kScoresFile).string();
    detect(last_session(), detection);
  }
  detection_seconds_ += seconds_since(begun);
  return relevance_in(folder_, base().config());
}

// How far a few steps on all units move each one, or the Fisher information of what it owns.
at::Tensor ChainView::probed(const MethodSettings& settings) {
  const Session& session = last_session();
  TrainableModel model = all_units(session);
  const SiteShape shape = site_shape(session.checkpoint().config(), Site::kAct);
  std::vector<at::Tensor> rows;
  if (settings.finder == "fisher") {
    const UnitValues found = fisher(model, settings.fisher_rows);
    for (const ParameterPtr& parameter : model.parameters) rows.push_back(found.of(*parameter));
    return summed_by_unit(model, rows, shape);
  }
  std::vector<at::Tensor> before;
  for (const ParameterPtr& parameter : model.parameters)
    before.push_back(parameter->master.clone());
  TrainOptions options = stage_train_options(settings, data_, seed_);
  options.schedule = "constant";
  options.steps = settings.probe_steps;
  train_in_memory(model, data_, task(), options, fmt::format("probe {}", task().name));
  for (std::size_t i = 0; i < before.size(); ++i) {
    rows.push_back((model.parameters[i]->master - before[i]).square());
  }
  return summed_by_unit(model, rows, shape);
}

SiteRelevance ChainView::past_relevance(std::size_t stage) const {
  return relevance_in(chain_.stages()[stage].folder, base().config());
}

std::vector<double> ChainView::similarities(double temperature) {
  std::vector<at::Tensor> seen;
  for (const PastStage& past : past_) {
    seen.push_back(data_.seen_features(tasks_[past.task].folder));
  }
  return softmax(mean_cosines(data_.seen_features(task().folder), seen), temperature);
}

UnitValues ChainView::changes(std::size_t stage, const TrainableModel& model) {
  const StageChange& change = chain_.change(stage);
  UnitValues found;
  for (const ParameterPtr& parameter : model.parameters) {
    const auto touched = change.tensors.find(parameter->tensor);
    if (touched == change.tensors.end()) continue;
    const StageChange::Tensor& one = touched->second;
    // The whole tensor's change, of which the parameter takes its units' rows.
    at::Tensor whole = at::zeros(base().tensor(parameter->tensor).sizes(), at::kFloat);
    whole.index_add_(one.axis, one.units, one.after - one.before);
    const at::Tensor rows = whole.index_select(parameter->axis, parameter->stored_units().cpu());
    const bool turned = parameter->axis == 1;
    found.put(*parameter, (turned ? rows.t() : rows).contiguous());
  }
  return found;
}

UnitValues ChainView::fisher(TrainableModel& model, std::int64_t rows) {
  const std::vector<AnswerExample>& examples = data_.train(task().folder).examples;
  PrefixGroup group;
  for (const AnswerExample& example : examples) {
    if (static_cast<std::int64_t>(group.examples.size()) == rows) break;
    group.examples.push_back(&example);
  }
  NeuronHook none;
  const ExampleLoss loss(model, none, {data_.options().data.limits(), 1, false});
  Progress bar(fmt::format("fisher {}", task().name),
               static_cast<std::int64_t>(group.examples.size()));
  return diagonal_fisher(model, loss, {group}, [&](std::int64_t done, std::int64_t tokens) {
    bar.advance(done, tokens);
  });
}

}  // namespace taskneuron

// How well a choice of units would serve a stage, by validation rows.
#include <fmt/format.h>

#include <limits>

#include "base/elapsed.h"
#include "base/file.h"
#include "base/sha256.h"
#include "recipe/continual_view.h"
#include "recipe/train_parts.h"
#include "taskneuron/base/error.h"
#include "taskneuron/base/interruption.h"
#include "taskneuron/base/progress.h"

namespace taskneuron {

namespace fs = std::filesystem;

namespace {

constexpr double kDiverged = std::numeric_limits<double>::infinity();

// Of a model after training.
double loss_on_validation(const TrainableModel& model, StreamData& data, const std::string& folder,
                          const std::vector<TaskRow>& rows) {
  EvaluationOptions how;
  how.scoring = Scoring::kLoss;
  const TaskEvaluation evaluation(load_task(folder), "validation", rows, data.reader().encoder(),
                                  how);
  NeuronHook none;
  return evaluation
      .run(model.decoder, none, data.reader().fit(evaluation.demand()).limits,
           [](std::int64_t, std::int64_t) {})
      .loss;
}

}  // namespace

void train_in_memory(TrainableModel& model, StreamData& data, const StreamTask& task,
                     const TrainOptions& options, const std::string& title) {
  const std::vector<EncodedTask> rows = {data.train(task.folder)};
  Trainer trainer(model, {{task.name, rows.front().examples, {}}},
                  trainer_options(options, rows, false));
  trainer.set_limits(data.reader().fit(trainer.demand()));
  const DeferredSignals signals;
  Progress bar(title, trainer.steps());
  for (std::int64_t step = 1; step <= trainer.steps(); ++step) {
    if (signals.requested()) throw Interrupted("");
    bar.advance(1, trainer.step(step).tokens);
  }
}

double ChainView::validation_loss(const NeuronSet& set, const MethodSettings& settings) {
  std::string units;
  for (const auto& item : set.sites) {
    for (const auto& layer : item.second.units) {
      for (const std::int64_t unit : layer) units += fmt::format("{} ", unit);
      units += '\n';
    }
  }
  const fs::path path = folder_ / fmt::format("trial-{}.json", sha256_hex(units).substr(0, 12));
  if (fs::exists(path)) {
    const Json known = read_json(path);
    const auto loss = JsonView(known, path.string()).find("loss");
    if (loss && !(loss->number() >= 0)) loss->fail("is below 0");
    return loss ? loss->number() : kDiverged;
  }
  const std::vector<TaskRow> rows = data_.trial_rows(task().folder);
  const auto begun = std::chrono::steady_clock::now();
  const Session& session = last_session();
  TrainableOptions what;
  what.units = set.units();
  TrainableModel model = make_trainable(session.checkpoint(), session.decoder(), what);
  double loss = kDiverged;
  try {
    train_in_memory(model, data_, task(), stage_train_options(settings, data_, seed_),
                    fmt::format("try {} units", set.size()));
    loss = loss_on_validation(model, data_, task().folder, rows);
  } catch (const NonFiniteError&) {
    note(fmt::format("trained on {}, {} units diverged: not chosen unless all do", task().name,
                     set.size()));
  }
  const bool diverged = loss == kDiverged;
  const OutputJson json = {{"units", set.size()},
                           {"loss", diverged ? OutputJson(nullptr) : OutputJson(loss)}};
  write_file(path, json_text(json, 1) + "\n");
  detection_seconds_ += seconds_since(begun);
  return loss;
}

}  // namespace taskneuron
